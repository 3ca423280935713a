//! Where things are: the binary under test, scratch directories, and addresses of one's own.
//!
//! Tests take a /24 of loopback each, so that clusters of different tests never meet, although
//! every node uses the standard ports: drivers want one port on all nodes of a cluster.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

/// The port of the drivers.
pub const CQL_PORT: u16 = 9042;
/// The port that nodes speak to each other on.
pub const INTERNODE_PORT: u16 = 7000;
/// The port of the operators.
pub const ADMIN_PORT: u16 = 7080;

/// The second byte of all test networks; the playground is at 127.0.0.x.
const NETWORKS: u8 = 77;

/// The directory of the running profile, `target/release` as a rule.
fn profile_dir() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let deps = test.parent().context("a test binary lies in a directory")?;
    ensure!(deps.ends_with("deps"), "{} is not where cargo puts tests", test.display());
    Ok(deps.parent().context("deps lies in the directory of its profile")?.to_owned())
}

/// The root of the checkout.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the checkout")
}

/// The binary under test, built from the same profile as the tests.
pub fn binary() -> Result<PathBuf> {
    let path = profile_dir()?.join("starling");
    ensure!(
        path.is_file(),
        "{} is missing; build it: cargo build --release -p starling",
        path.display()
    );
    Ok(path)
}

/// The directory under target/ that all tests share.
pub fn shared() -> Result<PathBuf> {
    let profile = profile_dir()?;
    let target = profile.parent().context("a profile lies in the target directory")?;
    let shared = target.join("starling-tests");
    fs::create_dir_all(&shared)?;
    Ok(shared)
}

/// A directory of one's own, removed with its handle.
pub fn scratch(name: &str) -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix(&format!("{name}-")).tempdir_in(shared()?)?)
}

/// Waits for and takes the lock of this name, which all test processes share.
pub fn lock(name: &str) -> Result<File> {
    let file = File::create(shared()?.join(format!("{name}.lock")))?;
    file.lock()?;
    Ok(file)
}

/// A /24 of loopback that no other test uses while this value lives.
#[derive(Debug)]
pub struct Network {
    number: u8,
    _lock: File,
}

impl Network {
    /// Takes a free network; the search begins at a place that differs from process to process.
    pub fn take() -> Result<Self> {
        let start = u8::try_from(std::process::id() % 250).expect("a number below 250 is a byte");
        for number in (1..=250).map(|step| (start + step - 1) % 250 + 1) {
            let path = shared()?.join(format!("network-{number}.lock"));
            let lock = File::create(path)?;
            if lock.try_lock().is_ok() && is_free(number) {
                return Ok(Self { number, _lock: lock });
            }
        }
        bail!("all 250 networks of loopback are taken")
    }

    /// The address of the node with this index, counted from 0.
    pub fn address(&self, node: usize) -> IpAddr {
        address(self.number, node)
    }
}

fn address(network: u8, node: usize) -> IpAddr {
    let host = u8::try_from(node + 1).expect("a test cluster is smaller than a /24");
    IpAddr::V4(Ipv4Addr::new(127, NETWORKS, network, host))
}

/// Whether nobody outside of these tests listens there.
fn is_free(network: u8) -> bool {
    TcpListener::bind((address(network, 0), CQL_PORT)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tests_get_two_networks() {
        let (a, b) = (Network::take().unwrap(), Network::take().unwrap());
        assert_ne!(a.address(0), b.address(0));
    }

    #[test]
    fn no_network_is_the_playground() {
        let network = Network::take().unwrap();
        assert!(network.address(0).to_string().starts_with("127.77."));
    }
}
