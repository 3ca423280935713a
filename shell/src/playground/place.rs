//! Where a playground is: its directory and its addresses.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use crate::admin::ADMIN_PORT;
use crate::repl::CQL_PORT;

/// The port that nodes speak to each other on.
pub(super) const INTERNODE_PORT: u16 = 7000;

/// Why there is no place for a playground.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    /// Somebody listens where a node would.
    #[error(
        "{address}:{port} is taken: another playground, a node or Cassandra may be running there"
    )]
    Taken {
        /// The address.
        address: IpAddr,
        /// The port.
        port: u16,
    },
    /// A node cannot listen there.
    #[error("cannot listen on {address}:{port}: {error}")]
    Closed {
        /// The address.
        address: IpAddr,
        /// The port.
        port: u16,
        /// Why not.
        error: io::Error,
    },
    /// The directory is that of a playground of another size.
    #[error("{dir} holds a playground of {found} nodes, not {wanted}", dir = dir.display())]
    OtherSize {
        /// The directory.
        dir: PathBuf,
        /// How many nodes it holds.
        found: usize,
        /// How many were asked for.
        wanted: u8,
    },
    /// The directory cannot be used.
    #[error("{dir}: {error}", dir = dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

/// 127.0.0.1, 127.0.0.2, …
pub(super) fn addresses(nodes: u8) -> Vec<IpAddr> {
    (1..=nodes).map(|node| IpAddr::V4(Ipv4Addr::new(127, 0, 0, node))).collect()
}

/// The directory of a node.
pub(super) fn home(dir: &Path, node: usize) -> PathBuf {
    dir.join(format!("node{}", node + 1))
}

/// Makes the directory of a playground; one that is there already is used again.
pub(super) fn prepare(named: Option<&Path>, nodes: u8) -> Result<PathBuf, PlaceError> {
    let dir = named.map_or_else(|| default_dir(nodes), Path::to_owned);
    let failed = |error| PlaceError::Directory { dir: dir.clone(), error };
    let found = (0..usize::from(u8::MAX)).take_while(|node| home(&dir, *node).is_dir()).count();
    if found != 0 && found != usize::from(nodes) {
        return Err(PlaceError::OtherSize { dir, found, wanted: nodes });
    }
    for node in 0..usize::from(nodes) {
        fs::create_dir_all(home(&dir, node)).map_err(failed)?;
    }
    dir.canonicalize().map_err(failed)
}

/// A directory of the user's own, one for each size; a temporary one for who has no home.
fn default_dir(nodes: u8) -> PathBuf {
    let name = format!("playground-{nodes}");
    match std::env::home_dir() {
        Some(home) => home.join(".local/share/starling").join(name),
        None => std::env::temp_dir().join("starling").join(name),
    }
}

/// Finds out whether the nodes can listen where they are to.
pub(super) fn check_ports(addresses: &[IpAddr]) -> Result<(), PlaceError> {
    for &address in addresses {
        for port in [CQL_PORT, INTERNODE_PORT, ADMIN_PORT] {
            match TcpListener::bind((address, port)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    return Err(PlaceError::Taken { address, port });
                }
                Err(error) => return Err(PlaceError::Closed { address, port, error }),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_used_again_by_a_playground_of_its_size_only() {
        let dir = tempfile::tempdir().unwrap();
        let named = dir.path().join("play");
        let made = prepare(Some(&named), 3).unwrap();
        assert!(home(&made, 2).is_dir());
        assert_eq!(prepare(Some(&named), 3).unwrap(), made);
        let error = prepare(Some(&named), 5).unwrap_err();
        assert!(error.to_string().ends_with("holds a playground of 3 nodes, not 5"), "{error}");
    }

    #[test]
    fn a_taken_port_is_named() {
        // An address that no playground and no test cluster uses.
        let address: IpAddr = "127.78.0.1".parse().unwrap();
        check_ports(&[address]).unwrap();
        let _listener = TcpListener::bind((address, INTERNODE_PORT)).unwrap();
        let error = check_ports(&[address]).unwrap_err();
        assert!(error.to_string().starts_with("127.78.0.1:7000 is taken"), "{error}");
    }
}
