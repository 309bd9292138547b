//! Addresses: octets, or none and a name.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::error::DecodeError;
use super::wire::{Failed, Input, Wire, put_long, put_octets};
use crate::flow::End;
use crate::host::{Host, Text};

fn put_address(host: &Host, out: &mut Vec<u8>) {
    match host {
        Host::V4(address) => put_octets(out, &address.octets()),
        Host::V6(address) => put_octets(out, &address.octets()),
        Host::Name(_) => out.push(0),
    }
}

/// An address; `None` where the host is known by name only.
fn take_address(input: &mut Input<'_>) -> Result<Option<Host>, Failed> {
    let octets = input.octets()?;
    if octets.is_empty() {
        return Ok(None);
    }
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Ok(Some(Host::V4(Ipv4Addr::from(octets))));
    }
    if let Ok(octets) = <[u8; 16]>::try_from(octets) {
        return Ok(Some(Host::V6(Ipv6Addr::from(octets))));
    }
    Err(input.fail(DecodeError::BadAddress { at: input.at() - octets.len(), length: octets.len() }))
}

/// The name field: the host's own name where it has no address, else the name beside the address.
fn put_name(host: &Host, beside: Option<&Text>, out: &mut Vec<u8>) {
    match host.name().or(beside) {
        None => out.push(0),
        Some(name) => {
            put_long(out, 1);
            name.put(out);
        }
    }
}

/// The host and the name beside it.
fn join(address: Option<Host>, name: Option<Text>, input: &mut Input<'_>) -> Result<(Host, Option<Text>), Failed> {
    match (address, name) {
        (Some(host), beside) => Ok((host, beside)),
        (None, Some(name)) => Ok((Host::Name(name), None)),
        (None, None) => Err(input.fail(DecodeError::NoHost { at: input.at() })),
    }
}

impl Wire for Host {
    fn put(&self, out: &mut Vec<u8>) {
        put_address(self, out);
        put_name(self, None, out);
    }
    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
        let address = take_address(input)?;
        let name = Wire::read(input)?;
        // A name beside a plain host's address has no place in the Rust type and identifies nothing.
        join(address, name, input).map(|(host, _)| host)
    }
}

impl Wire for End {
    fn put(&self, out: &mut Vec<u8>) {
        put_address(&self.host, out);
        self.port.put(out);
        put_name(&self.host, self.name.as_ref(), out);
        self.mac.put(out);
        self.country.put(out);
        self.asn.put(out);
    }
    fn read(input: &mut Input<'_>) -> Result<Self, Failed> {
        let address = take_address(input)?;
        let port = Wire::read(input)?;
        let name = Wire::read(input)?;
        let (host, name) = join(address, name, input)?;
        Ok(Self { host, port, name, mac: Wire::read(input)?, country: Wire::read(input)?, asn: Wire::read(input)? })
    }
}
