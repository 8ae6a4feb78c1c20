//! InterIMAP: two servers kept the same, by what QRESYNC tells. Here they are two accounts of one.

use super::{
    chance::{Chance, FOLDERS, rounds},
    imap::{Holdings, Imap},
    letter::letter,
    program::Program,
    site::Site,
};

struct InterImap<'a> {
    program: Program,
    site: &'a Site,
}

impl<'a> InterImap<'a> {
    fn new(site: &'a Site) -> Self {
        let store = |name: &str, user: &str| {
            let (host, port, password) = (site.imap.ip(), site.imap.port(), site.password);
            format!(
                "[{name}]\ntype = imap\nSTARTTLS = NO\nhost = {host}\nport = {port}\n\
                 username = {user}\npassword = {password}\nauth = PLAIN LOGIN\n"
            )
        };
        let text = format!(
            "database = {}/known.db\nlist-mailbox = \"*\"\n{}{}",
            site.folder().display(),
            store("local", site.user),
            store("remote", site.other_user)
        );
        for place in [".config/interimap", ".local/share/interimap"] {
            std::fs::create_dir_all(site.folder().join(place)).unwrap();
        }
        site.write(".config/interimap/config", text);
        Self { program: Program::find("interimap", "interimap", site.folder()), site }
    }

    fn agree(&self, after: &str) -> Holdings {
        self.program.must(&[""; 0]);
        let one = Imap::login_as(self.site, self.site.user).holdings();
        let other = Imap::login_as(self.site, self.site.other_user).holdings();
        assert_eq!(one, other, "the two accounts after {after}");
        one
    }
}

#[test]
fn two_accounts_become_the_same() {
    let site = Site::start();
    let interimap = InterImap::new(&site);
    let users = [site.user, site.other_user];
    let [mut one, mut other] = users.map(|user| Imap::login_as(&site, user));
    site.deliver(&letter("delivered", &["grüße", ".a dot"]));
    other.append("INBOX", "\\Flagged", &letter("other", &[]));
    one.ask("CREATE Work");
    other.ask("CREATE Work/Old");
    let holdings = interimap.agree("the first run");
    assert!(FOLDERS.iter().all(|folder| holdings.contains_key(*folder)), "{:?}", holdings.keys());
    assert_eq!(holdings["INBOX"].len(), 2);
    let mut chance = Chance::new();
    for round in 1..=rounds() {
        chance.change_folders(&mut one);
        chance.change_folders(&mut other);
        interimap.agree(&format!("round {round} of seed {}", chance.seed));
    }
}
