//! HTTP/1.0 and 1.1 (RFC 9112): start lines and three fields; bodies are never looked at.
//!
//! A message is looked for at the beginning of each segment, and behind the head of another one. The first request and
//! the first response of a record are told, the others counted.

use weir_schemas::app::Http;

use super::facts::Facts;
use super::text::{begins_with, contains, hash, hash_exact, kept};

/// Most bytes of a head that are looked at.
const LONGEST_HEAD: usize = 2048;

/// Methods of RFC 9110 §9, RFC 5789, `WebDAV` (RFC 4918) and `UPnP`.
const METHODS: [&[u8]; 20] = [
    b"GET",
    b"POST",
    b"HEAD",
    b"PUT",
    b"DELETE",
    b"CONNECT",
    b"OPTIONS",
    b"TRACE",
    b"PATCH",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
    b"SEARCH",
    b"REPORT",
    b"SUBSCRIBE",
    b"UNSUBSCRIBE",
];

/// Words in a User-Agent field and the family that they mean, the more special ones first.
const FAMILIES: [(&[u8], &str); 41] = [
    (b"sqlmap", "sqlmap"),
    (b"nikto", "nikto"),
    (b"nmap", "nmap"),
    (b"masscan", "masscan"),
    (b"zgrab", "zgrab"),
    (b"gobuster", "gobuster"),
    (b"feroxbuster", "feroxbuster"),
    (b"dirbuster", "dirbuster"),
    (b"wpscan", "wpscan"),
    (b"nuclei", "nuclei"),
    (b"hydra", "hydra"),
    (b"googlebot", "bot"),
    (b"bingbot", "bot"),
    (b"crawler", "bot"),
    (b"spider", "bot"),
    (b"bot/", "bot"),
    (b"curl/", "curl"),
    (b"wget", "wget"),
    (b"python", "python"),
    (b"aiohttp", "python"),
    (b"go-http-client", "go"),
    (b"okhttp", "okhttp"),
    (b"java/", "java"),
    (b"apache-httpclient", "java"),
    (b"libwww-perl", "perl"),
    (b"powershell", "powershell"),
    (b"windows-update", "windows_update"),
    (b"microsoft-", "microsoft"),
    (b"debian apt", "apt"),
    (b"libdnf", "dnf"),
    (b"prometheus", "prometheus"),
    (b"kube-probe", "kubernetes"),
    (b"edg/", "edge"),
    (b"edge/", "edge"),
    (b"opr/", "opera"),
    (b"firefox/", "firefox"),
    (b"chrome/", "chrome"),
    (b"trident/", "internet_explorer"),
    (b"msie ", "internet_explorer"),
    (b"safari/", "safari"),
    (b"mozilla/", "browser"),
];

/// The head of a message, as far as it has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Head<'a> {
    /// A request.
    Request {
        /// Its method.
        method: &'a [u8],
        /// Its target.
        target: &'a [u8],
        /// The Host field.
        host: Option<&'a [u8]>,
        /// The User-Agent field.
        agent: Option<&'a [u8]>,
    },
    /// A response.
    Response {
        /// Its status code.
        status: u16,
    },
}

/// Whether bytes begin, or may yet begin, a message.
pub(super) fn begins_message(bytes: &[u8]) -> bool {
    begins_response(bytes) || begins_request(bytes)
}

fn begins_response(bytes: &[u8]) -> bool {
    bytes.starts_with(b"HTTP/1.")
}

fn begins_request(bytes: &[u8]) -> bool {
    // Asked of every segment of a conversation that is not known: most are told by their first byte.
    bytes.first().is_some_and(u8::is_ascii_uppercase) && METHODS.iter().any(|method| {
        bytes.strip_prefix(*method).is_some_and(|rest| {
            matches!(rest, [b' ', target, ..] if matches!(target, b'/' | b'*') || target.is_ascii_alphanumeric() || *target == b'[')
        })
    })
}

/// Where the head ends, the empty line included.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let two = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
    // RFC 9112 §2.2: a lone LF may be taken for a line's end.
    let lone = bytes.windows(2).position(|window| window == b"\n\n").map(|at| at + 2);
    match (two, lone) {
        (Some(two), Some(lone)) => Some(two.min(lone)),
        (end, None) | (None, end) => end,
    }
}

/// Reads a head, of which the end may be missing; `None` where it is no HTTP/1.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<Head<'_>> {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next()?;
    if begins_response(first) {
        let code = first.get(9..12)?;
        let status = std::str::from_utf8(code).ok()?.parse().ok()?;
        return Some(Head::Response { status });
    }
    if !begins_request(first) {
        return None;
    }
    let mut words = first.splitn(3, |byte| *byte == b' ');
    let (method, target) = (words.next()?, words.next()?);
    // A start line that has come in whole names the version, but for a Simple-Request (RFC 1945 §4.1), as load balancers send
    // to see whether a server lives.
    let is_whole = first.len() < bytes.len();
    let is_version = words.next().map_or(method == b"GET", |version| version.starts_with(b"HTTP/1."));
    if is_whole && !is_version {
        return None;
    }
    let (mut host, mut agent) = (None, None);
    for line in lines.take_while(|line| !line.is_empty()) {
        if begins_with(line, b"host:") {
            host.get_or_insert(line[5..].trim_ascii());
        } else if begins_with(line, b"user-agent:") {
            agent.get_or_insert(line[11..].trim_ascii());
        }
    }
    Some(Head::Request { method, target, host, agent })
}

/// Host and path of a target (RFC 9112 §3.2): the path without its query.
fn split_target<'a>(method: &[u8], target: &'a [u8]) -> (Option<&'a [u8]>, &'a [u8]) {
    if method == b"CONNECT" {
        return (Some(target), b"");
    }
    let (host, path) = match target.windows(3).position(|window| window == b"://") {
        Some(at) if at < 8 && !target.starts_with(b"/") => {
            let rest = &target[at + 3..];
            let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            (Some(&rest[..end]), &rest[end..])
        }
        _ => (None, target),
    };
    let end = path.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(path.len());
    (host, &path[..end])
}

/// The family of a User-Agent field.
#[must_use]
pub fn agent_family(agent: &[u8]) -> &'static str {
    if agent.is_empty() {
        return "";
    }
    FAMILIES.iter().find(|(word, _)| contains(agent, word)).map_or("other", |(_, family)| family)
}

/// Both directions of a connection.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// A head that has not ended yet, by direction.
    heads: [Vec<u8>; 2],
}

impl Stream {
    /// Takes in a segment sent by `end`.
    pub(super) fn take(&mut self, end: usize, bytes: &[u8], facts: &mut Facts) {
        let mut rest = bytes;
        if !self.heads[end].is_empty() {
            let before = self.heads[end].len();
            let room = LONGEST_HEAD - before.min(LONGEST_HEAD);
            self.heads[end].extend_from_slice(&rest[..rest.len().min(room)]);
            let head = &self.heads[end];
            let Some(length) = end_of_head(head).or((head.len() >= LONGEST_HEAD).then_some(head.len())) else { return };
            note(&head[..length], facts);
            self.heads[end].clear();
            rest = rest.get(length.saturating_sub(before)..).unwrap_or_default();
        }
        while begins_message(rest) {
            let Some(length) = end_of_head(&rest[..rest.len().min(LONGEST_HEAD)]) else {
                if rest.len() >= LONGEST_HEAD {
                    note(&rest[..LONGEST_HEAD], facts);
                } else {
                    self.heads[end].extend_from_slice(rest);
                }
                return;
            };
            note(&rest[..length], facts);
            // The next one of a pipeline; a body is passed over with the segment.
            rest = &rest[length..];
        }
    }

    /// Bytes of memory it takes beside itself.
    pub(super) fn memory(&self) -> usize {
        self.heads.iter().map(Vec::capacity).sum()
    }

    /// Bytes are missing in what `end` sends: a head that was begun is told as far as it has come.
    pub(super) fn lost(&mut self, end: usize, facts: &mut Facts) {
        let head = std::mem::take(&mut self.heads[end]);
        note(&head, facts);
    }
}

fn note(head: &[u8], facts: &mut Facts) {
    match parse(head) {
        Some(Head::Request { method, target, host, agent }) => note_request(method, target, host, agent, facts),
        Some(Head::Response { status }) => note_response(status, facts),
        None => {}
    }
}

fn note_request(method: &[u8], target: &[u8], host: Option<&[u8]>, agent: Option<&[u8]>, facts: &mut Facts) {
    let (authority, path) = split_target(method, target);
    let path_hash = hash_exact(path);
    let paths = facts.note_distinct(path_hash);
    let http = facts.http.get_or_insert_default();
    http.paths = paths;
    http.requests += 1;
    if http.requests > 1 {
        return;
    }
    let host = authority.or(host).unwrap_or_default();
    http.method = kept(method);
    http.host = kept(host).to_ascii_lowercase();
    http.host_hash = if host.is_empty() { 0 } else { hash(host) };
    http.path_hash = path_hash;
    http.path_segment = kept(path.split(|byte| *byte == b'/').find(|segment| !segment.is_empty()).unwrap_or_default());
    http.user_agent = kept(agent.unwrap_or_default());
    http.agent_family = agent_family(agent.unwrap_or_default()).into();
}

fn note_response(status: u16, facts: &mut Facts) {
    let http: &mut Http = facts.http.get_or_insert_default();
    // An interim response (RFC 9110 §15.2) answers nothing; 101 does.
    if (100..200).contains(&status) && status != 101 {
        return;
    }
    http.responses += 1;
    http.status.get_or_insert(status);
    http.errors += u32::from(status >= 400);
    let is_denied = matches!(status, 401 | 403 | 407);
    http.denied += u32::from(is_denied);
    if is_denied {
        facts.login("http", 1, 1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REQUEST: &[u8] =
        b"GET /admin/login.php?user=x HTTP/1.1\r\nHost: Shop.example\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n";

    fn told(segments: &[(usize, &[u8])]) -> Http {
        let (mut stream, mut facts) = (Stream::default(), Facts::default());
        for (end, bytes) in segments {
            stream.take(*end, bytes, &mut facts);
        }
        facts.into_app(true).http.unwrap_or_default()
    }

    #[test]
    fn a_request_and_its_answer_are_told() {
        let http = told(&[(0, REQUEST), (1, b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nGET")]);
        assert_eq!((&*http.method, &*http.host, &*http.path_segment), ("GET", "shop.example", "admin"));
        assert_eq!(http.path_hash, hash_exact(b"/admin/login.php"));
        assert_eq!((&*http.user_agent, &*http.agent_family, http.status), ("curl/8.5.0", "curl", Some(404)));
        assert_eq!((http.requests, http.responses, http.errors, http.denied, http.paths), (1, 1, 1, 0, 1));
    }

    #[test]
    fn heads_may_be_cut_anywhere() {
        let whole = told(&[(0, REQUEST)]);
        for cut in 6..REQUEST.len() {
            assert_eq!(told(&[(0, &REQUEST[..cut]), (0, &REQUEST[cut..])]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn pipelines_and_persistent_connections_are_counted() {
        let two = [REQUEST, b"HEAD /b HTTP/1.1\r\n\r\n"].concat();
        let http =
            told(&[(0, &two), (1, b"HTTP/1.1 100 Continue\r\n\r\n"), (1, b"HTTP/1.1 401 No\r\n\r\n"), (0, REQUEST)]);
        assert_eq!((http.requests, http.responses, http.denied, http.paths, http.status), (3, 1, 1, 2, Some(401)));
    }

    #[test]
    fn a_request_without_a_version_counts() {
        let http = told(&[(0, b"GET /\r\n\r\n"), (1, b"HTTP/1.0 200 OK\r\n\r\n")]);
        assert_eq!((http.requests, http.responses, &*http.method), (1, 1, "GET"));
        assert_eq!(parse(b"POST /\r\n\r\n"), None);
    }

    #[test]
    fn targets_have_four_forms() {
        let table: [(&[u8], &[u8], &str, &str); 5] = [
            (b"GET", b"/", "", ""),
            (b"GET", b"http://proxy.example:80/a/b?c", "proxy.example:80", "a"),
            (b"CONNECT", b"mail.example:443", "mail.example:443", ""),
            (b"OPTIONS", b"*", "", "*"),
            (b"GET", b"/go?to=http://x/y", "", "go"),
        ];
        for (method, target, host, segment) in table {
            let line = [method, b" ", target, b" HTTP/1.1\r\n\r\n"].concat();
            let http = told(&[(0, &line)]);
            assert_eq!((&*http.host, &*http.path_segment), (host, segment), "{}", String::from_utf8_lossy(&line));
        }
    }

    #[test]
    fn families_are_told_apart() {
        let table = [
            ("", ""),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "firefox"),
            (
                "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
                "chrome",
            ),
            ("Mozilla/5.0 (Windows NT 10.0) Chrome/126.0 Safari/537.36 Edg/126.0", "edge"),
            ("Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 Version/17.5 Safari/605.1.15", "safari"),
            ("Mozilla/5.0 (compatible; Googlebot/2.1)", "bot"),
            ("python-requests/2.32", "python"),
            ("Mozilla/5.0 (compatible; Nmap Scripting Engine)", "nmap"),
            ("something of our own", "other"),
        ];
        for (agent, family) in table {
            assert_eq!(agent_family(agent.as_bytes()), family, "{agent}");
        }
    }

    #[test]
    fn other_texts_are_no_http() {
        for bytes in
            [&b"GETTY /a HTTP/1.1\r\n\r\n"[..], b"GET /a SIP/2.0\r\n\r\n", b"HTTP/1.1 abc\r\n", b"HTTP/2 200\r\n", b""]
        {
            assert_eq!(parse(bytes), None, "{}", String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        #[test]
        fn any_segments_are_answered(segments in proptest::collection::vec(
            (0..2_usize, prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..3000),
                Just(REQUEST.to_vec()),
                Just(b"GET /a".to_vec()),
                Just(b"HTTP/1.1 200 OK\r\n".to_vec()),
            ]), 0..12))
        {
            let (mut stream, mut facts) = (Stream::default(), Facts::default());
            for (end, bytes) in &segments {
                stream.take(*end, bytes, &mut facts);
                prop_assert!(stream.heads.iter().all(|head| head.len() <= LONGEST_HEAD));
            }
        }
    }
}
