//! The account that the throwaway server runs under. Postgres refuses to run as root, so root
//! starts it under another account.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The user and group ids of the account that the server runs under if we are root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// Finds the account for the server: `postgres` or else `nobody` if we are root, and none
    /// otherwise.
    pub(super) fn for_server() -> io::Result<Option<Self>> {
        // std has no geteuid, and a crate for one number is too much.
        let id = Command::new("id").arg("-u").output()?;
        if id.stdout.trim_ascii() != b"0" {
            return Ok(None);
        }
        let passwd = std::fs::read_to_string("/etc/passwd")?;
        let account = Self::find("postgres", &passwd).or_else(|| Self::find("nobody", &passwd));
        account.map(Some).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, "neither postgres nor nobody is in /etc/passwd")
        })
    }

    fn find(name: &str, passwd: &str) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let numbers = (fields.next()? == name).then(|| fields.nth(1).zip(fields.next()))??;
            Some(Self { uid: numbers.0.parse().ok()?, gid: numbers.1.parse().ok()? })
        })
    }
}

/// Says whether the server may enter a directory. Another account than ours may enter it if
/// everybody may enter all directories above it, too.
pub(super) fn may_enter(account: Option<Account>, directory: &Path) -> bool {
    account.is_none() || directory.ancestors().all(|step| allows(step, 0o001))
}

/// The directory for temporary files that the server can use, too. Root's own TMPDIR is often
/// closed to others; /tmp is open everywhere.
pub(super) fn temporary_folder(account: Option<Account>) -> PathBuf {
    let ours = std::env::temp_dir();
    let shared = may_enter(account, &ours) && (account.is_none() || allows(&ours, 0o002));
    if shared { ours } else { PathBuf::from("/tmp") }
}

fn allows(path: &Path, right: u32) -> bool {
    path.as_os_str().is_empty()
        || path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & right == right)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        postgres-exporter:x:7:8::/:/bin/false\n\
        nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin\n\
        broken\n\
        postgres:x:101:104:PostgreSQL:/var/lib/postgresql:/bin/bash\n";

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let cases = [
            ("postgres", Some(Account { uid: 101, gid: 104 })),
            ("nobody", Some(Account { uid: 65534, gid: 65533 })),
            ("broken", None),
            ("absent", None),
        ];

        for (name, expected) in cases {
            assert_eq!(Account::find(name, PASSWD), expected, "{name}");
        }
    }

    #[test]
    fn a_directory_below_a_closed_one_cannot_be_entered_by_another_account() {
        let closed = std::env::temp_dir().join(format!("closed-{}", std::process::id()));
        std::fs::create_dir_all(closed.join("open")).unwrap();
        std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o700)).unwrap();

        let other = Some(Account { uid: 65534, gid: 65534 });
        let entered = [may_enter(other, &closed.join("open")), may_enter(None, &closed)];
        std::fs::remove_dir_all(&closed).unwrap();

        assert_eq!(entered, [false, true]);
    }
}
