//! Users and their passwords, in a file.
//!
//! ```text
//!   # desk 4
//!   alice:$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$hashhashhash…
//! ```
//!
//! One user to a line: the name, a colon, the Argon2 hash of the password in PHC form.
//! Empty lines and those that begin with `#` say nothing.
//!
//! Somebody who tries names is not told which exist, not even by how long it takes:
//! a name that is not in the file costs a verification too, of the costliest hash in it.
//! Where all hashes have the same parameters, which is what [`user_line`] makes, the two
//! can't be told apart.

use crate::authenticate::{Authenticate, Claim, Denial, Verdict};
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier};
use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// The users of a file, kept in memory.
#[derive(Debug)]
pub struct UserFile {
    path: PathBuf,
    users: RwLock<Arc<Users>>,
}

#[derive(Debug, Default)]
struct Users {
    hashes: HashMap<Box<str>, Entry>,
    /// What is verified for names that are not here.
    costliest: Option<PasswordHash>,
}

#[derive(Debug)]
struct Entry {
    hash: PasswordHash,
    line: usize,
}

/// The most memory that one verification may take, in KiB: a gibibyte.
const MEMORY_KIB_MAX: u32 = 1 << 20;

/// The most passes over that memory.
const PASSES_MAX: u32 = 100;

impl UserFile {
    /// Reads the file.
    ///
    /// # Errors
    /// [`UserFileError`], whose sentence names the line and what is allowed.
    pub fn load(path: &Path) -> Result<Self, UserFileError> {
        Ok(Self {
            path: path.to_owned(),
            users: RwLock::new(Arc::new(read(path)?)),
        })
    }

    /// Reads the file again. Those who are being verified are judged by what was there
    /// before.
    ///
    /// # Errors
    /// As [`Self::load`]; then the users stay as they were.
    pub fn reload(&self) -> Result<(), UserFileError> {
        let users = Arc::new(read(&self.path)?);
        *self.users.write().unwrap_or_else(PoisonError::into_inner) = users;
        Ok(())
    }
}

impl Authenticate for UserFile {
    fn authenticate(&self, claim: &Claim) -> Verdict {
        let Some(user_name) = &claim.user_name else {
            return Verdict::Denied(Denial::NotAuthorized);
        };
        let denied = Verdict::Denied(Denial::BadUserNameOrPassword);
        let Some(password) = &claim.password else {
            return denied;
        };
        let users = Arc::clone(&self.users.read().unwrap_or_else(PoisonError::into_inner));
        let known = users.hashes.get(user_name).map(|entry| &entry.hash);
        let Some(hash) = known.or(users.costliest.as_ref()) else {
            return denied;
        };
        let is_right = Argon2::default().verify_password(password, hash).is_ok();
        match known.is_some() && is_right {
            true => Verdict::Granted(Some(user_name.clone())),
            false => denied,
        }
    }

    fn is_costly(&self) -> bool {
        true
    }
}

fn read(path: &Path) -> Result<Users, UserFileError> {
    let text = fs::read_to_string(path).map_err(|error| UserFileError::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    parse(&text).map_err(|(line, fault)| UserFileError::Line {
        path: path.to_owned(),
        line,
        fault,
    })
}

/// The users of such a text, or the number of the first wrong line and what is wrong.
fn parse(text: &str) -> Result<Users, (usize, UserLineError)> {
    let mut users = Users::default();
    let mut cost_most = 0;
    for (index, content) in text.lines().enumerate() {
        let line = index + 1;
        let content = content.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let (name, hash, cost) = parse_line(content).map_err(|fault| (line, fault))?;
        if cost > cost_most {
            (cost_most, users.costliest) = (cost, Some(hash.clone()));
        }
        if let Some(first) = users.hashes.insert(name.into(), Entry { hash, line }) {
            return Err((line, UserLineError::Repeated { line: first.line }));
        }
    }
    Ok(users)
}

/// Name, hash, and what a verification costs: passes times memory.
fn parse_line(line: &str) -> Result<(&str, PasswordHash, u64), UserLineError> {
    let (name, hash) = line.split_once(':').ok_or(UserLineError::NoColon)?;
    check_name(name)?;
    if !hash.starts_with("$argon2") {
        return Err(UserLineError::NotArgon2);
    }
    let hash = PasswordHash::new(hash).map_err(|_| UserLineError::NotPhc)?;
    Algorithm::try_from(hash.algorithm.as_str()).map_err(|_| UserLineError::NotArgon2)?;
    if hash.version.is_none() || hash.salt.is_none() || hash.hash.is_none() {
        return Err(UserLineError::Incomplete);
    }
    let params = Params::try_from(&hash).map_err(|_| UserLineError::Parameters)?;
    if params.m_cost() > MEMORY_KIB_MAX || params.t_cost() > PASSES_MAX {
        return Err(UserLineError::Parameters);
    }
    let cost = u64::from(params.m_cost()) * u64::from(params.t_cost());
    Ok((name, hash, cost))
}

fn check_name(name: &str) -> Result<(), UserLineError> {
    let is_allowed = !name.is_empty()
        && name.trim() == name
        && !name.starts_with('#')
        && !name.contains(|character: char| character == ':' || character.is_control());
    match is_allowed {
        true => Ok(()),
        false => Err(UserLineError::Name),
    }
}

/// Makes the line of a user for such a file, without an end of line: Argon2id with the
/// parameters that OWASP recommends (19 MiB, two passes) and a random salt.
///
/// It takes as long as a verification, some tens of milliseconds.
///
/// # Errors
/// [`UserLineError::Name`], [`UserLineError::Password`].
pub fn user_line(name: &str, password: &[u8]) -> Result<String, UserLineError> {
    check_name(name)?;
    let hash: PasswordHash = Argon2::default()
        .hash_password(password)
        .map_err(|_| UserLineError::Password)?;
    Ok(format!("{name}:{hash}"))
}

/// What is wrong with the line of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserLineError {
    /// No colon behind the name.
    NoColon,
    /// A name that such a file can't have.
    Name,
    /// A password of more than 4 GiB, or the kernel has no random bytes.
    Password,
    /// Another hash than Argon2, or none.
    NotArgon2,
    /// Not of the form of password hashes.
    NotPhc,
    /// Version, salt or hash is missing.
    Incomplete,
    /// Parameters that Argon2 does not have, or that cost too much.
    Parameters,
    /// The user has a line already.
    Repeated {
        /// The number of that one, from 1.
        line: usize,
    },
}

impl fmt::Display for UserLineError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoColon => formatter.write_str(
                "has no colon: a line is a user name, a colon and an Argon2 hash, a comment begins \
                 with #",
            ),
            Self::Name => formatter.write_str(
                "a user name is not empty, has no colon and no control character, and neither \
                 begins nor ends with a space, nor begins with #",
            ),
            Self::Password => formatter.write_str("such a password can't be hashed"),
            Self::NotArgon2 => formatter.write_str(
                "is no Argon2 hash: behind the colon stands one that begins with $argon2id$, \
                 $argon2i$ or $argon2d$",
            ),
            Self::NotPhc => formatter.write_str(
                "is no whole Argon2 hash: allowed is $argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH",
            ),
            Self::Incomplete => formatter.write_str(
                "lacks version, salt or hash: allowed is \
                 $argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH",
            ),
            Self::Parameters => write!(
                formatter,
                "has parameters that are not allowed: m is 8 times p to {MEMORY_KIB_MAX} (KiB), \
                 t is 1 to {PASSES_MAX}, p is at least 1"
            ),
            Self::Repeated { line } => {
                write!(formatter, "the user stands in line {line} already")
            }
        }
    }
}

impl std::error::Error for UserLineError {}

/// Why a file of users can't be used.
#[derive(Debug)]
pub enum UserFileError {
    /// It can't be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says, or that it is not UTF-8.
        error: io::Error,
    },
    /// One of its lines is wrong.
    Line {
        /// The file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        fault: UserLineError,
    },
}

impl fmt::Display for UserFileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => {
                write!(formatter, "{} can't be read: {error}", path.display())
            }
            Self::Line { path, line, fault } => {
                write!(formatter, "{}, line {line}: {fault}", path.display())
            }
        }
    }
}

impl std::error::Error for UserFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { error, .. } => Some(error),
            Self::Line { fault, .. } => Some(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: &str =
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$vk+JgWgZGbXHtEqPQPhzXbD+QxxkJR5Fq2AXLhDyYaY";
    const DEAR: &str =
        "$argon2i$v=19$m=16,t=2,p=2$c2FsdHNhbHQ$f3GiQhXP4q6iv+F0+P/LRw8cYGGL0JpRfMrdSck4tqM";

    fn fault(text: &str) -> (usize, UserLineError) {
        parse(text).expect_err("the text is wrong")
    }

    #[test]
    fn faults_name_their_line() {
        let other = |from, to| format!("a:{}", CHEAP.replace(from, to));
        let cases = [
            ("\n# a:\n\nalice".into(), 4, UserLineError::NoColon),
            (format!(":{CHEAP}"), 1, UserLineError::Name),
            (format!("a :{CHEAP}"), 1, UserLineError::Name),
            (format!("a\u{7}:{CHEAP}"), 1, UserLineError::Name),
            ("a:".into(), 1, UserLineError::NotArgon2),
            ("a:secret".into(), 1, UserLineError::NotArgon2),
            (
                "a:$2b$12$abcdefghijklmnopqrstuv".into(),
                1,
                UserLineError::NotArgon2,
            ),
            (other("2id", "2x"), 1, UserLineError::NotArgon2),
            ("a:$argon2id$".into(), 1, UserLineError::NotPhc),
            (other("c2Fsd", "c2 sd"), 1, UserLineError::NotPhc),
            (other("$v=19", ""), 1, UserLineError::Incomplete),
            (
                "a:$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ".into(),
                1,
                UserLineError::Incomplete,
            ),
            (other("m=8", "m=7"), 1, UserLineError::Parameters),
            (other("m=8", "m=1048577"), 1, UserLineError::Parameters),
            (other("t=1", "t=101"), 1, UserLineError::Parameters),
            (other("t=1", "t=0"), 1, UserLineError::Parameters),
            (
                format!("a:{CHEAP}\nb:{DEAR}\na:{DEAR}"),
                3,
                UserLineError::Repeated { line: 1 },
            ),
        ];
        for (text, line, expected) in cases {
            assert_eq!(fault(&text), (line, expected), "{text:?}");
        }
    }

    #[test]
    fn comments_and_empty_lines_say_nothing() {
        let users = parse(&format!("#a:b\r\n  \r\n\ta:{CHEAP} \r\n# {DEAR}\n")).unwrap();
        assert_eq!(users.hashes.len(), 1);
        assert_eq!(users.hashes["a"].hash.to_string(), CHEAP);
    }

    #[test]
    fn a_name_that_is_not_there_costs_as_much_as_the_costliest() {
        for text in [
            format!("a:{CHEAP}\nb:{DEAR}\nc:{CHEAP}"),
            format!("b:{DEAR}\na:{CHEAP}"),
        ] {
            let users = parse(&text).unwrap();
            assert_eq!(users.costliest.unwrap().to_string(), DEAR);
        }
    }

    #[test]
    fn a_line_that_was_made_is_one_that_is_read() {
        let line = user_line("a b", b"secret").unwrap();
        assert_ne!(line, user_line("a b", b"secret").unwrap(), "salted");
        let users = parse(&line).unwrap();
        let hash = &users.hashes["a b"].hash;
        let verified = |password| Argon2::default().verify_password(password, hash);
        assert!(verified(b"secret").is_ok());
        assert!(verified(b"Secret").is_err());
        for name in ["", "a:b", " a", "a ", "#a", "a\nb"] {
            assert_eq!(
                user_line(name, b"secret"),
                Err(UserLineError::Name),
                "{name:?}"
            );
        }
    }
}
