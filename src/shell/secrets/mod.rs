//! Passwords: threads that check them against their hashes, which no ring may wait for.

mod fading;
mod memory;

use std::{
    hint, io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use argon2::{
    ARGON2ID_IDENT, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::{
        self,
        phc::{Output, ParamsString, PasswordHash, Salt},
    },
};
use blake2::{
    Blake2bMac,
    digest::{FixedOutput, Key, KeyInit, Update, consts::U16},
};
use bytes::Bytes;
use crossbeam::channel::{self, Receiver, Sender};

use self::memory::{Memory, Tag};
use super::{clock, entropy, mesh::Mesh};
use crate::{
    limits::{SECRETS_THREADS_MAX, SECRETS_WAITING_MAX},
    mail::mailbox::Verdict,
    relay::{Input, Ticket},
};

/// A login to be judged for a core.
pub struct Attempt {
    pub core: u16,
    pub ticket: Ticket,
    pub client: IpAddr,
    pub user: Bytes,
    pub password: Bytes,
    /// `None`: there is no such user.
    pub hash: Option<Bytes>,
}

/// Where attempts are handed in. The threads keep nothing that would be lost: they end with the
/// process.
#[derive(Clone)]
pub struct Secrets(Sender<Attempt>);

/// What the threads share.
struct Judge {
    memory: Mutex<Memory>,
    /// Of the tags: of this process alone.
    key: Key<Mac>,
    /// What the password of an unknown user is checked against, so that it takes the same time.
    nobody: PasswordHash,
}

/// As long as a `Tag`.
type Mac = Blake2bMac<U16>;

/// Why a password cannot be hashed.
#[derive(Debug, thiserror::Error)]
#[error("the password cannot be hashed: {0}; try again")]
pub struct HashError(password_hash::Error);

/// The hash of a password as accounts keep it: Argon2id in the PHC format, under a salt of its
/// own. Takes some 30 ms.
pub fn hash(password: &[u8]) -> Result<String, HashError> {
    let hash: PasswordHash = Argon2::default().hash_password(password).map_err(HashError)?;
    Ok(hash.to_string())
}

/// Whether it is a hash as `hash` makes them.
pub fn is_hash(text: &str) -> bool {
    PasswordHash::new(text).is_ok_and(|hash| {
        let whole = hash.salt.is_some() && hash.hash.is_some();
        whole && hash.algorithm == ARGON2ID_IDENT && Params::try_from(&hash).is_ok()
    })
}

/// Overwrites a password that is of no more use.
pub fn wipe(password: &mut [u8]) {
    password.fill(0);
    // Else the compiler would see that nobody reads the zeros.
    hint::black_box(password);
}

impl Secrets {
    /// Starts the threads: where there is one processor, its ring is not to wait for two of them.
    pub fn start(mesh: &Arc<Mesh>, processors: usize) -> io::Result<Secrets> {
        let (sender, attempts) = channel::bounded(SECRETS_WAITING_MAX);
        let judge = Arc::new(Judge::new()?);
        for _ in 0..processors.clamp(1, SECRETS_THREADS_MAX) {
            let (attempts, judge, mesh) = (attempts.clone(), judge.clone(), mesh.clone());
            let run = move || judge.run(&attempts, &mesh);
            thread::Builder::new().name("secrets".into()).spawn(run)?;
        }
        Ok(Secrets(sender))
    }

    /// Hands in an attempt, which `Input::Authenticated` answers. Where too many wait already, the
    /// verdict is there at once.
    pub fn check(&self, attempt: Attempt) -> Result<(), Verdict> {
        self.0.try_send(attempt).map_err(|_| Verdict::Busy)
    }
}

impl Judge {
    fn new() -> io::Result<Judge> {
        let nobody = hash_of_nobody(&entropy::octets()?).map_err(io::Error::other)?;
        Ok(Judge { memory: Mutex::new(Memory::new()), key: entropy::octets()?.into(), nobody })
    }

    fn run(&self, attempts: &Receiver<Attempt>, mesh: &Mesh) {
        for attempt in attempts {
            let verdict = self.judge(&attempt);
            mesh.post(attempt.core, [Input::Authenticated { ticket: attempt.ticket, verdict }]);
            // Where its buffer is nobody else's.
            if let Ok(mut password) = attempt.password.try_into_mut() {
                wipe(&mut password);
            }
        }
    }

    fn judge(&self, attempt: &Attempt) -> Verdict {
        let Attempt { client, password, .. } = attempt;
        let tag = self.tag(attempt);
        let remembered = self.memory(|memory| memory.recall(clock::now().instant, *client, tag));
        remembered.unwrap_or_else(|| {
            let known = attempt.hash.as_deref().and_then(parse);
            let hash = known.as_ref().unwrap_or(&self.nobody);
            let right = Argon2::default().verify_password(password, hash).is_ok();
            let verdict = match right && known.is_some() {
                true => Verdict::Granted,
                false => Verdict::Refused,
            };
            self.memory(|memory| memory.learn(clock::now().instant, *client, tag, verdict));
            verdict
        })
    }

    fn memory<T>(&self, look: impl FnOnce(&mut Memory) -> T) -> T {
        look(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tag(&self, Attempt { user, password, hash, .. }: &Attempt) -> Tag {
        let mut mac = Mac::new(&self.key);
        let hash = hash.as_deref().unwrap_or_default();
        for part in [user, hash, password] {
            mac.update(&part.len().to_le_bytes());
            mac.update(part);
        }
        Tag::from_le_bytes(mac.finalize_fixed().into())
    }
}

/// A hash that is no password's, and costs as much to check as one of ours.
fn hash_of_nobody(
    random: &[u8; Params::DEFAULT_OUTPUT_LEN],
) -> password_hash::Result<PasswordHash> {
    Ok(PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::default().into()),
        params: ParamsString::try_from(Params::DEFAULT)?,
        salt: Some(Salt::new(random)?),
        hash: Some(Output::new(random)?),
    })
}

fn parse(hash: &[u8]) -> Option<PasswordHash> {
    PasswordHash::new(std::str::from_utf8(hash).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "192.0.2.1";

    /// What the threads answer to attempts that are handed in one after another.
    struct Door {
        mesh: Arc<Mesh>,
        secrets: Secrets,
    }

    impl Door {
        fn open() -> Self {
            let mesh = Arc::new(Mesh::new(1).unwrap());
            let secrets = Secrets::start(&mesh, 2).unwrap();
            Self { mesh, secrets }
        }

        fn ask(&self, client: &str, password: &str, hash: Option<&Bytes>) -> Verdict {
            let attempt = Attempt {
                core: 0,
                ticket: Ticket(7),
                client: client.parse().unwrap(),
                user: "ann@example.org".into(),
                password: Bytes::copy_from_slice(password.as_bytes()),
                hash: hash.cloned(),
            };
            assert!(self.secrets.check(attempt).is_ok());
            rustix::io::read(self.mesh.bell(0), &mut [0; 8]).unwrap();
            self.mesh.heard(0);
            match self.mesh.take(0) {
                Some(Input::Authenticated { ticket: Ticket(7), verdict }) => verdict,
                other => panic!("{other:?}"),
            }
        }
    }

    fn hashed(password: &[u8]) -> Bytes {
        hash(password).unwrap().into()
    }

    #[test]
    fn passwords_are_told_apart() {
        let door = Door::open();
        let (ours, other) = (hashed(b"right"), hashed(b"other"));
        let broken = Bytes::from_static(b"$argon2id$v=19$m=19456");
        for (password, hash, verdict) in [
            ("right", Some(&ours), Verdict::Granted),
            ("right", Some(&ours), Verdict::Granted),
            ("wrong", Some(&ours), Verdict::Refused),
            ("wrong", Some(&ours), Verdict::Refused),
            ("right", Some(&ours), Verdict::Granted),
            // The password was changed.
            ("right", Some(&other), Verdict::Refused),
            ("other", Some(&other), Verdict::Granted),
            ("right", None, Verdict::Refused),
            ("", None, Verdict::Refused),
            ("", Some(&Bytes::new()), Verdict::Refused),
            ("right", Some(&broken), Verdict::Refused),
        ] {
            assert_eq!(door.ask(CLIENT, password, hash), verdict, "{password} {hash:?}");
        }
    }

    #[test]
    fn a_client_that_guesses_is_told_to_wait_whether_the_user_is_known_or_not() {
        let ours = hashed(b"right");
        for known in [Some(&ours), None] {
            let door = Door::open();
            let guesses = (0..).map(|number| door.ask(CLIENT, &format!("guess {number}"), known));
            let mut refused = 0;
            for verdict in guesses.take(100) {
                match verdict {
                    Verdict::Refused => refused += 1,
                    Verdict::Busy => break,
                    Verdict::Granted => panic!("a guess was right"),
                }
            }
            assert_eq!(refused, crate::limits::LOGIN_FAILURES_FREE + 1, "{known:?}");
            assert_eq!(door.ask(CLIENT, "right", Some(&ours)), Verdict::Busy);
            assert_eq!(door.ask("192.0.2.2", "right", Some(&ours)), Verdict::Granted);
        }
    }

    #[test]
    fn more_attempts_than_may_wait_are_told_to_come_again() {
        let (sender, attempts) = channel::bounded(1);
        let attempt = || Attempt {
            core: 0,
            ticket: Ticket(1),
            client: CLIENT.parse().unwrap(),
            user: Bytes::new(),
            password: Bytes::new(),
            hash: None,
        };
        let secrets = Secrets(sender);
        assert_eq!(secrets.check(attempt()), Ok(()));
        assert_eq!(secrets.check(attempt()), Err(Verdict::Busy));
        assert_eq!(attempts.len(), 1);
    }

    #[test]
    fn hashes_are_known_by_their_form() {
        let ours = hash(b"right").unwrap();
        assert!(ours.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{ours}");
        for (text, good) in [
            (&*ours, true),
            ("", false),
            ("right", false),
            ("$argon2id$v=19$m=19456,t=2,p=1", false),
            ("$argon2i$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA", false),
            ("$argon2id$v=19$m=1,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA", false),
            ("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA", true),
        ] {
            assert_eq!(is_hash(text), good, "{text}");
        }
    }
}
