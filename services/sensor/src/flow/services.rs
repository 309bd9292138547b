//! Which ports are a service's: all below 1024, and the table shipped here.

/// Service ports from 1024 up, ascending. Source: IANA service names and what is met in practice.
const SERVICES: [u16; 84] = [
    1080, 1194, 1352, 1433, 1434, 1521, 1645, 1646, 1701, 1723, 1812, 1813, 1883, 1900, 2049, 2082, 2083, 2181, 2222,
    2375, 2376, 2379, 2380, 3000, 3128, 3260, 3268, 3269, 3306, 3389, 3478, 4444, 4500, 4789, 5000, 5060, 5061, 5201,
    5222, 5269, 5353, 5355, 5432, 5555, 5601, 5671, 5672, 5683, 5900, 5984, 5985, 5986, 6379, 6443, 6514, 6667, 7001,
    7547, 8000, 8008, 8080, 8081, 8086, 8088, 8443, 8883, 8888, 9000, 9042, 9090, 9092, 9100, 9200, 9300, 9418, 9999,
    10000, 10250, 11211, 15672, 25565, 27017, 27018, 51820,
];

/// Whether `port` is a service's. Port 0 is none: it stands for a hidden one.
pub(crate) fn is_well_known(port: u16) -> bool {
    (1..1024).contains(&port) || SERVICES.binary_search(&port).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_found() {
        assert!(SERVICES.is_sorted());
        for (port, expected) in [(0, false), (1, true), (1023, true), (1024, false), (3306, true), (40000, false)] {
            assert_eq!(is_well_known(port), expected, "{port}");
        }
    }
}
