//! Dovecot in the server's place, with a configuration, ports and a folder of its own: the
//! reference. It needs root, and Debian's packages dovecot-imapd and dovecot-pop3d.

use std::{
    cell::Cell,
    fs,
    net::{SocketAddr, TcpStream},
    os::unix::fs::{PermissionsExt, chown},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::support::{eventually, fresh_address, program};

/// Debian's user and group `mail`.
const MAIL: u32 = 8;

pub struct Dovecot {
    pub imap: SocketAddr,
    pub pop3: SocketAddr,
    child: Child,
    inbox: PathBuf,
    delivered: Cell<usize>,
    _folder: TempDir,
}

impl Dovecot {
    pub fn start(user: &str, password: &str) -> Self {
        let dovecot = program("dovecot").expect("install dovecot-imapd and dovecot-pop3d");
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let inbox = data.join(user).join("Maildir");
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(inbox.join(part)).unwrap();
        }
        for path in [&data, &data.join(user), &inbox] {
            chown(path, Some(MAIL), Some(MAIL)).unwrap();
        }
        for part in ["cur", "new", "tmp"] {
            chown(inbox.join(part), Some(MAIL), Some(MAIL)).unwrap();
        }
        // Its processes run as users of their own.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let address = fresh_address();
        let [imap, pop3] = [20_143, 20_110].map(|port| SocketAddr::new(address, port));
        let config = folder.path().join("dovecot.conf");
        let place = folder.path().display().to_string();
        fs::write(&config, settings(&place, &address.to_string(), password)).unwrap();
        let child = Command::new(dovecot)
            .args(["-F", "-c"])
            .arg(config)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let delivered = Cell::new(0);
        let dovecot = Self { imap, pop3, child, inbox, delivered, _folder: folder };
        for listener in [imap, pop3] {
            eventually("Dovecot listens", || TcpStream::connect(listener).ok());
        }
        dovecot
    }

    pub fn deliver(&self, message: &[u8]) {
        let number = self.delivered.replace(self.delivered.get() + 1);
        let name = format!("{}.delivered.example", 1_700_000_000 + number);
        let written = self.inbox.join("tmp").join(&name);
        fs::write(&written, message).unwrap();
        chown(&written, Some(MAIL), Some(MAIL)).unwrap();
        fs::rename(written, self.inbox.join("new").join(name)).unwrap();
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // Its master ends the processes that it has started.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

fn settings(folder: &str, address: &str, password: &str) -> String {
    format!(
        "base_dir = {folder}/run\nstate_dir = {folder}/state\nlog_path = {folder}/log\n\
         instance_name = clients\nprotocols = imap pop3\nlisten = {address}\nssl = no\n\
         disable_plaintext_auth = no\nauth_mechanisms = plain login\n\
         mail_location = maildir:{folder}/data/%u/Maildir\nmail_uid = {MAIL}\nmail_gid = {MAIL}\n\
         first_valid_uid = 1\nfirst_valid_gid = 1\nmail_max_userip_connections = 100\n\
         mail_plugins = quota\nprotocol imap {{\n  mail_plugins = quota imap_quota\n}}\n\
         plugin {{\n  quota = count:User quota\n  quota_vsizes = yes\n  \
         quota_rule = *:storage=1G\n}}\n\
         namespace inbox {{\n  inbox = yes\n  separator = /\n}}\n\
         passdb {{\n  driver = static\n  args = password={password}\n}}\n\
         userdb {{\n  driver = static\n  args = uid={MAIL} gid={MAIL} home={folder}/data/%u\n}}\n\
         service imap-login {{\n  inet_listener imap {{\n    port = 20143\n  }}\n  \
         inet_listener imaps {{\n    port = 0\n  }}\n}}\n\
         service pop3-login {{\n  inet_listener pop3 {{\n    port = 20110\n  }}\n  \
         inet_listener pop3s {{\n    port = 0\n  }}\n}}\n"
    )
}
