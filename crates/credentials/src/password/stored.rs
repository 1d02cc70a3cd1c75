//! One stored hash of a password.

use std::collections::HashMap;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, Params};

use crate::Unusable;

/// The longest password that is hashed, in bytes. A longer one is wrong at once, whoever the user is.
pub const LONGEST: usize = 1024;

/// The most memory that verifying one password may take, in KiB.
const MAX_MEMORY: u32 = 1024 * 1024;
/// The most memory written for one password, over all passes, in KiB.
const MAX_WORK: u64 = 4 * 1024 * 1024;
const MAX_LANES: u32 = 64;
const BCRYPT_COSTS: std::ops::RangeInclusive<u32> = 4..=16;
const BCRYPT_LENGTH: usize = 60;

/// A stored hash that can be verified at a bounded price.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    text: String,
    cost: Cost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Cost {
    Bcrypt(u32),
    Argon2 { memory: u32, passes: u32, lanes: u32, is_id: bool },
}

impl Stored {
    /// Reads `$argon2id$…`, `$argon2i$…` (the PHC string format) or `$2a$…`, `$2b$…`, `$2y$…` (bcrypt).
    ///
    /// # Errors
    /// What is wrong, and what to do about it. Nothing of the text is in it.
    pub fn parse(text: &str) -> Result<Self, Unusable> {
        let cost = if text.starts_with("$argon2") {
            argon2_cost(text)?
        } else if text.starts_with("$2") {
            bcrypt_cost(text)?
        } else {
            return Err(other_scheme(text));
        };
        Ok(Self { text: text.to_owned(), cost })
    }

    /// Whether this is the password. Takes the time that the hash was made to cost.
    ///
    /// bcrypt looks at the first 72 bytes of a password only, as everywhere.
    pub fn verify(&self, password: &[u8]) -> bool {
        if password.len() > LONGEST {
            return false;
        }
        match self.cost {
            Cost::Bcrypt(_) => bcrypt::verify(password, &self.text).unwrap_or(false),
            Cost::Argon2 { .. } => Argon2::default().verify_password(password, self.text.as_str()).is_ok(),
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl std::fmt::Debug for Stored {
    /// Without salt and hash.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Stored").field(&self.cost).finish()
    }
}

/// Makes a stored hash: argon2id with 19 MiB, two passes, one lane (OWASP's first choice), and a salt of 16 random
/// bytes that `random` fills in.
///
/// # Errors
/// If the password is empty or longer than [`LONGEST`].
pub fn hash(password: &[u8], mut random: impl FnMut(&mut [u8])) -> Result<String, Unusable> {
    if password.is_empty() || password.len() > LONGEST {
        return Err(Unusable("passwords have 1 to 1024 bytes"));
    }
    let mut salt = [0; 16];
    random(&mut salt);
    let made = Argon2::default().hash_password_with_salt(password, &salt);
    made.map(|hash| hash.to_string()).map_err(|_| Unusable("the password cannot be hashed"))
}

/// What is verified for a user who does not exist.
#[derive(Clone, Debug)]
pub struct Decoy {
    stored: Stored,
}

impl Decoy {
    /// One that costs what most of these hashes cost, and what [`hash`] makes if there are none. Where the hashes of a
    /// document differ in cost, time tells which of them a user has, and no decoy can help that.
    pub fn of<'a>(stored: impl IntoIterator<Item = &'a Stored>) -> Self {
        let mut counts: HashMap<Cost, usize> = HashMap::new();
        for one in stored {
            *counts.entry(one.cost).or_default() += 1;
        }
        let usual = Cost::Argon2 {
            memory: Params::DEFAULT_M_COST,
            passes: Params::DEFAULT_T_COST,
            lanes: Params::DEFAULT_P_COST,
            is_id: true,
        };
        let most = counts.into_iter().max_by_key(|(cost, count)| (*count, *cost));
        let cost = most.map_or(usual, |(cost, _)| cost);
        Self { stored: Stored { text: decoy_text(cost), cost } }
    }

    /// Does the work of [`Stored::verify`], and refuses.
    pub fn refuse(&self, password: &[u8]) -> bool {
        // Its hash is no password's; should one be found that it fits, it is refused as well.
        std::hint::black_box(self.stored.verify(password));
        false
    }
}

fn decoy_text(cost: Cost) -> String {
    match cost {
        Cost::Bcrypt(cost) => format!("$2b${cost:02}${}O{}", "A".repeat(21), "K".repeat(31)),
        Cost::Argon2 { memory, passes, lanes, is_id } => {
            let name = if is_id { "argon2id" } else { "argon2i" };
            let (salt, hash) = ("A".repeat(22), "A".repeat(43));
            format!("${name}$v=19$m={memory},t={passes},p={lanes}${salt}${hash}")
        }
    }
}

fn argon2_cost(text: &str) -> Result<Cost, Unusable> {
    let parsed = PasswordHash::new(text)
        .map_err(|_| Unusable("this begins as an argon2 hash and is none to its end"))?;
    let is_id = match parsed.algorithm.as_str() {
        "argon2id" => true,
        "argon2i" => false,
        _ => {
            return Err(Unusable(
                "of argon2 the kinds argon2id and argon2i are taken: hash the password anew",
            ));
        }
    };
    if parsed.version.is_some_and(|version| version != 19 && version != 16) {
        return Err(Unusable("the version of argon2 is neither 19 nor 16"));
    }
    if parsed.salt.is_none() || parsed.hash.is_none_or(|hash| hash.len() < 16) {
        return Err(Unusable("the argon2 hash has no salt, or less than 16 bytes of hash"));
    }
    let params =
        Params::try_from(&parsed).map_err(|_| Unusable("the parameters of argon2 cannot be read"))?;
    let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    if !params.keyid().is_empty() || !params.data().is_empty() {
        return Err(Unusable("argon2 with `keyid` or `data` is not taken"));
    }
    if memory > MAX_MEMORY || u64::from(memory) * u64::from(passes) > MAX_WORK || lanes > MAX_LANES {
        return Err(Unusable(
            "verifying this argon2 hash would cost more than 1 GiB of memory or 4 GiB of work",
        ));
    }
    Ok(Cost::Argon2 { memory, passes, lanes, is_id })
}

fn bcrypt_cost(text: &str) -> Result<Cost, Unusable> {
    if text.len() != BCRYPT_LENGTH || !text.is_ascii() {
        return Err(Unusable("this begins as a bcrypt hash and is not 60 characters long"));
    }
    if !["$2a$", "$2b$", "$2y$"].iter().any(|kind| text.starts_with(kind)) {
        return Err(Unusable("of bcrypt the kinds 2a, 2b and 2y are taken: hash the password anew"));
    }
    let digits = &text[4..6];
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let cost =
        digits.parse().ok().filter(|_| is_number).ok_or(Unusable("the cost of bcrypt is no number"))?;
    if !BCRYPT_COSTS.contains(&cost) {
        return Err(Unusable("the cost of bcrypt is not between 4 and 16"));
    }
    // Reads salt and hash as verifying does.
    text.parse::<bcrypt::HashParts>().map_err(|_| Unusable("the bcrypt hash cannot be read"))?;
    Ok(Cost::Bcrypt(cost))
}

/// Says what it seems to be, and the way out.
fn other_scheme(text: &str) -> Unusable {
    let schemes = [
        ("$apr1$", "MD5 of Apache (apr1) can be searched too fast: make it anew with `htpasswd -B`"),
        ("{SHA}", "plain SHA-1 can be searched too fast: make it anew with `htpasswd -B`"),
        ("{SSHA}", "SHA-1 can be searched too fast: make it anew with `htpasswd -B`"),
        ("$1$", "MD5 crypt can be searched too fast: make it anew with `htpasswd -B`"),
        ("$5$", "SHA-256 crypt is not taken: make it anew with `htpasswd -B`"),
        ("$6$", "SHA-512 crypt is not taken: make it anew with `htpasswd -B`"),
        ("$y$", "yescrypt is not taken: make it anew with `htpasswd -B`"),
        ("$scrypt$", "scrypt is not taken: make it anew with `htpasswd -B`"),
        ("$pbkdf2", "PBKDF2 is not taken: make it anew with `htpasswd -B`"),
    ];
    let known = schemes.iter().find(|(begin, _)| text.starts_with(begin));
    Unusable(known.map_or(
        "neither an argon2 nor a bcrypt hash, perhaps a plain password or one of crypt(3): make it anew with `htpasswd -B`",
        |(_, why)| why,
    ))
}

#[cfg(test)]
mod tests {
    use super::{Cost, Decoy, LONGEST, Stored, hash};

    /// Cheap ones, since tests need not cost: of "U*U" and of "password".
    const BCRYPT: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    const ARGON2: &str =
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

    #[test]
    fn published_hashes_verify() {
        // crypt_blowfish's first test, and one of the reference implementation of argon2.
        let stored = Stored::parse(BCRYPT).unwrap();
        assert!(stored.verify(b"U*U") && !stored.verify(b"U*V") && !stored.verify(b""));
        let stored = Stored::parse(ARGON2).unwrap();
        assert!(stored.verify(b"password") && !stored.verify(b"Password") && !stored.verify(b""));
    }

    #[test]
    fn a_new_hash_is_of_its_password_only() {
        let made = hash(b"correct horse", |salt| salt.fill(3)).unwrap();
        assert!(made.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{made}");
        let stored = Stored::parse(&made).unwrap();
        assert!(stored.verify(b"correct horse") && !stored.verify(b"correct horse "));
        assert!(hash(b"", |_| {}).is_err() && hash(&[b'a'; LONGEST + 1], |_| {}).is_err());
    }

    #[test]
    fn absurd_costs_are_refused_when_read() {
        let argon2 = |costs: &str| ARGON2.replace("m=256,t=2,p=1", costs);
        for costs in
            ["m=4294967295,t=1,p=1", "m=1048577,t=1,p=1", "m=1048576,t=5,p=1", "m=65536,t=4294967295,p=1"]
        {
            assert!(Stored::parse(&argon2(costs)).is_err(), "{costs}");
        }
        for costs in ["m=256,t=0,p=1", "m=0,t=1,p=1", "m=99999999999,t=1,p=1", "m=1024,t=1,p=65"] {
            assert!(Stored::parse(&argon2(costs)).is_err(), "{costs}");
        }
        assert!(Stored::parse(&argon2("m=1048576,t=4,p=4")).is_ok());
        for cost in ["03", "17", "31", "99", "1a", "+5", "-1"] {
            assert!(Stored::parse(&BCRYPT.replace("$05$", &format!("${cost}$"))).is_err(), "{cost}");
        }
    }

    #[test]
    fn weak_and_plain_schemes_are_refused_with_the_way_out() {
        for text in [
            "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/",
            "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
            "$6$salt$hash",
            "$1$salt$hash",
            "rqXexS6ZhobKA",
            "secret",
            "",
        ] {
            let why = Stored::parse(text).expect_err(text);
            assert!(why.0.contains("htpasswd -B") && (text.is_empty() || !why.0.contains(text)), "{why}");
        }
        for text in [
            "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            "$2a$05$short",
            "$argon2d$v=19$x",
            "$2é",
        ] {
            assert!(Stored::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_decoy_costs_what_most_cost_and_takes_nobody() {
        let (bcrypt, argon2) = (Stored::parse(BCRYPT).unwrap(), Stored::parse(ARGON2).unwrap());
        let decoy = Decoy::of([&bcrypt, &argon2, &bcrypt]);
        assert_eq!(decoy.stored.cost, Cost::Bcrypt(5));
        assert!(Stored::parse(&decoy.stored.text).is_ok(), "so that verifying it does the work");
        let decoy = Decoy::of([&bcrypt, &argon2, &argon2]);
        assert_eq!(decoy.stored.cost, argon2.cost);
        assert_eq!(Stored::parse(&decoy.stored.text).map(|stored| stored.cost), Ok(argon2.cost));
        for password in [&b""[..], b"password", b"U*U"] {
            assert!(!decoy.refuse(password));
        }
        let usual = Decoy::of([]).stored;
        assert_eq!(Stored::parse(&usual.text).map(|stored| stored.cost), Ok(usual.cost));
    }

    #[test]
    fn endless_passwords_are_wrong_at_once() {
        assert!(!Stored::parse(BCRYPT).unwrap().verify(&[b'a'; LONGEST + 1]));
    }
}
