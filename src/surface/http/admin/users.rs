//! Operators on this machine: root, the broker's own user, and the users that the configuration names, by
//! the uid that the kernel tells. Nobody on the network is one, whatever a request says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};

use crate::surface::http::peer::Peer;

/// The users that may command, with their login names where the machine knew them at start.
#[derive(Debug, Clone)]
pub struct Users(BTreeMap<u32, Option<String>>);

impl Users {
    /// Root, this process's own user and `further` ones.
    ///
    /// # Errors
    /// The table of local accounts cannot be read.
    pub fn of_this_machine(further: &BTreeSet<u32>) -> io::Result<Self> {
        let mut accounts = Vec::new();
        File::open(ACCOUNTS)?
            .take(MOST_ACCOUNTS)
            .read_to_end(&mut accounts)?;
        let own = rustix::process::geteuid().as_raw();
        Ok(Self::new(own, further, &String::from_utf8_lossy(&accounts)))
    }

    /// Root, `own` and `further`; `accounts` is a text in the form of passwd(5).
    pub fn new(own: u32, further: &BTreeSet<u32>, accounts: &str) -> Self {
        let uids = further.iter().copied().chain([ROOT, own]);
        let mut logins: BTreeMap<_, _> = uids.map(|uid| (uid, None)).collect();
        for (uid, name) in accounts.lines().filter_map(account) {
            if let Some(login) = logins.get_mut(&uid) {
                // The first line of a uid is the one that the system's own look-up takes.
                login.get_or_insert_with(|| name.to_owned());
            }
        }
        Self(logins)
    }

    /// The user at the other end of a connection, as the audit log names it: `uid:1000 (alice)`. The uid is
    /// what was checked; the name only helps to read it. `None` when nobody is there who may command.
    pub fn at(&self, peer: &Peer) -> Option<String> {
        let uid = peer.uid()?;
        let login = self.0.get(&uid)?;
        Some(match login {
            Some(name) => format!("uid:{uid} ({name})"),
            None => format!("uid:{uid}"),
        })
    }
}

/// A line's uid and login name, where the name can stand in the audit log as it is.
fn account(line: &str) -> Option<(u32, &str)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let uid = fields.nth(1)?.parse().ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    ((1..=32).contains(&name.len()) && name.bytes().all(plain)).then_some((uid, name))
}

const ROOT: u32 = 0;
const ACCOUNTS: &str = "/etc/passwd";
const MOST_ACCOUNTS: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use super::*;
    use crate::surface::socket::Caller;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nwrit:x:990:990::/:/bin/false\n\
                          bad\u{7f}name:x:7:7::/:\nalice:x:1000:1000::/home/alice:/bin/sh\n\
                          also-alice:x:1000:1000::/:\nbroken line\n";

    fn users() -> Users {
        Users::new(990, &BTreeSet::from([1000, 7, 4242]), PASSWD)
    }

    fn local(uid: u32) -> Peer {
        Peer::Unix(Caller {
            uid,
            gid: 0,
            pid: Some(1),
        })
    }

    #[test]
    fn root_the_own_user_and_the_configured_ones_are_users() {
        let named = |uid| users().at(&local(uid));
        assert_eq!(named(0).as_deref(), Some("uid:0 (root)"));
        assert_eq!(named(990).as_deref(), Some("uid:990 (writ)"));
        assert_eq!(named(1000).as_deref(), Some("uid:1000 (alice)"));
        assert_eq!(named(4242).as_deref(), Some("uid:4242"));
    }

    #[test]
    fn another_local_user_is_not() {
        for uid in [1, 989, 991, 999, 1001, u32::MAX] {
            assert_eq!(users().at(&local(uid)), None, "{uid}");
        }
    }

    #[test]
    fn nobody_on_the_network_is() {
        let addr: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let tls = Peer::Tls {
            addr,
            behind: None,
            certificates: Arc::from([]),
        };
        assert_eq!(users().at(&Peer::Tcp { addr, behind: None }), None);
        assert_eq!(users().at(&tls), None);
    }

    #[test]
    fn a_login_name_that_could_forge_a_log_line_is_left_out() {
        assert_eq!(users().at(&local(7)).as_deref(), Some("uid:7"));
    }
}
