//! `HOST[:PORT]`, as people name nodes.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// A node as it was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// A name or an address, IPv6 without brackets.
    name: String,
    port: Option<u16>,
}

/// Why a text names no node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostError {
    /// There is nothing before the port.
    #[error("no host before the port")]
    NoName,
    /// What stands after the colon is no port.
    #[error("{port:?} is no port")]
    Port {
        /// What stands there.
        port: String,
    },
    /// An IPv6 address in brackets does not end, or something other than a port follows.
    #[error("[address]:port is not closed")]
    Open,
}

impl Host {
    /// The node with the port that it has where none is named.
    pub(crate) fn at(&self, port: u16) -> String {
        let port = self.port.unwrap_or(port);
        let Self { name, .. } = self;
        if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") }
    }
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.parse::<Ipv6Addr>().is_ok() {
            return Ok(Self { name: text.to_owned(), port: None });
        }
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (name, rest) = rest.split_once(']').ok_or(HostError::Open)?;
                let port = rest.strip_prefix(':');
                if port.is_none() && !rest.is_empty() {
                    return Err(HostError::Open);
                }
                (name, port)
            }
            None => match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        if name.is_empty() {
            return Err(HostError::NoName);
        }
        let parse =
            |port: &str| port.parse().map_err(|_| HostError::Port { port: port.to_owned() });
        Ok(Self { name: name.to_owned(), port: port.map(parse).transpose()? })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => f.write_str(&self.at(port)),
            None => f.write_str(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_take_the_port_of_their_service() {
        for (text, wanted) in [
            ("localhost", "localhost:9042"),
            ("10.0.0.1:7", "10.0.0.1:7"),
            ("::1", "[::1]:9042"),
            ("[::1]", "[::1]:9042"),
            ("[::1]:8", "[::1]:8"),
        ] {
            assert_eq!(text.parse::<Host>().unwrap().at(9042), wanted);
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        assert_eq!("".parse::<Host>(), Err(HostError::NoName));
        assert_eq!(":9042".parse::<Host>(), Err(HostError::NoName));
        assert_eq!("a:b".parse::<Host>(), Err(HostError::Port { port: "b".to_owned() }));
        assert_eq!("a:70000".parse::<Host>(), Err(HostError::Port { port: "70000".to_owned() }));
        assert_eq!("[::1".parse::<Host>(), Err(HostError::Open));
        assert_eq!("[::1]9042".parse::<Host>(), Err(HostError::Open));
    }
}
