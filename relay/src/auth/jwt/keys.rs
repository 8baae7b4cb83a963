//! The keys by which tokens are judged.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::SystemTime;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm};
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;

use super::{Claims, InvalidToken, provider};

/// How tokens are signed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256: the key is a secret that those who sign and those who verify share.
    Hs256,
    /// RSA (PKCS #1 v1.5) with SHA-256, 2,048 bits or more.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa];

    /// The name in tokens and keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    const fn jwt(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(text));
        named.ok_or_else(|| format!("`{text}` is not one of HS256, RS256, ES256, EdDSA"))
    }
}

/// Keys by their ids.
#[derive(Clone)]
pub struct KeySet {
    keys: HashMap<String, (Algorithm, DecodingKey)>,
}

/// A file with keys: a set, or one alone (RFC 7517).
#[derive(Deserialize)]
#[serde(untagged)]
enum File {
    Set { keys: Vec<Jwk> },
    One(Box<Jwk>),
}

impl KeySet {
    /// Reads JSON Web Keys: from a file, which holds one key or a set (`{"keys": [..]}`), or from every `.jwk` and `.json`
    /// file in a directory. A key without a `kid` has the name of its file; each must be of one of the four algorithms.
    /// Private parts are not needed and not looked at.
    ///
    /// # Errors
    /// There is no key, two have one id, or one cannot be read; the text names the file.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let fail = |path: &Path, problem: String| KeyError { path: path.to_owned(), problem };
        let mut set = Self { keys: HashMap::new() };
        for file in files(path).map_err(|error| fail(path, error.to_string()))? {
            let text = std::fs::read(&file).map_err(|error| fail(&file, error.to_string()))?;
            // What it says instead may be a secret.
            let read = serde_json::from_slice(&text).map_err(|error| {
                fail(&file, format!("no JSON Web Key or set of them (line {})", error.line()))
            })?;
            let keys = match read {
                File::Set { keys } => keys,
                File::One(key) => vec![*key],
            };
            for key in keys {
                set.add(key, &file).map_err(|problem| fail(&file, problem))?;
            }
        }
        match set.keys.is_empty() {
            true => Err(fail(path, "there is no key in it".to_owned())),
            false => Ok(set),
        }
    }

    fn add(&mut self, key: Jwk, file: &Path) -> Result<(), String> {
        let named_by_file = || file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let id = key.common.key_id.clone().or_else(named_by_file).unwrap_or_default();
        let fail = |problem: &str| format!("key `{id}`: {problem}");
        let algorithm = algorithm(&key).map_err(|problem| fail(&problem))?;
        let decoding = DecodingKey::from_jwk(&key).map_err(|_| fail("its parameters are not base64url"))?;
        match self.keys.insert(id.clone(), (algorithm, decoding)) {
            Some(_) => Err(fail("there are two of this id")),
            None => Ok(()),
        }
    }

    /// The keys' ids and algorithms, by id.
    pub fn ids(&self) -> Vec<(&str, Algorithm)> {
        let mut ids: Vec<_> =
            self.keys.iter().map(|(id, (algorithm, _))| (id.as_str(), *algorithm)).collect();
        ids.sort_unstable_by_key(|(id, _)| *id);
        ids
    }

    /// Believes a token, or says why not. The key decides by which algorithm it is judged, never the token.
    ///
    /// # Errors
    /// See [`InvalidToken`].
    pub fn verify(&self, token: &[u8]) -> Result<Claims, InvalidToken> {
        provider::install();
        let header = decode_header(token).map_err(|_| InvalidToken::Malformed)?;
        let id = header.kid.ok_or(InvalidToken::NoKeyId)?;
        let (algorithm, key) = self.keys.get(&id).ok_or(InvalidToken::UnknownKey)?;
        let mut validation = Validation::new(algorithm.jwt());
        validation.leeway = 0;
        validation.validate_nbf = true;
        validation.validate_aud = false;
        let claims: Claims = decode(token, key, &validation).map_err(|error| invalid(error.kind()))?.claims;
        // `jsonwebtoken` believes it for the whole second in which it expires (RFC 7519 §4.1.4: not on that time).
        match claims.expires() > SystemTime::now() {
            true => Ok(claims),
            false => Err(InvalidToken::Expired),
        }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.ids()).finish()
    }
}

fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let is_key = |file: &PathBuf| file.extension().is_some_and(|it| it == "jwk" || it == "json");
    let entries: std::io::Result<Vec<_>> = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect();
    let mut files: Vec<_> = entries?.into_iter().filter(is_key).collect();
    files.sort_unstable();
    Ok(files)
}

/// The one algorithm for which a key may be used.
fn algorithm(key: &Jwk) -> Result<Algorithm, String> {
    let (algorithm, named) = match &key.algorithm {
        AlgorithmParameters::OctetKey(_) => (Algorithm::Hs256, KeyAlgorithm::HS256),
        AlgorithmParameters::RSA(_) => (Algorithm::Rs256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::Es256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDsa, KeyAlgorithm::EdDSA)
        }
        _ => return Err("only oct, RSA, EC P-256 and OKP Ed25519 are used here".to_owned()),
    };
    match key.common.key_algorithm {
        Some(stated) if stated != named => {
            Err(format!("`alg` must be {named} for a key of this type, or be left out"))
        }
        _ => Ok(algorithm),
    }
}

fn invalid(error: &ErrorKind) -> InvalidToken {
    match error {
        ErrorKind::ExpiredSignature => InvalidToken::Expired,
        ErrorKind::ImmatureSignature => InvalidToken::NotYetValid,
        ErrorKind::InvalidAlgorithm => InvalidToken::WrongAlgorithm,
        ErrorKind::InvalidSignature | ErrorKind::InvalidKeyFormat => InvalidToken::WrongSignature,
        ErrorKind::MissingRequiredClaim(_) => InvalidToken::Claims("`exp` is missing"),
        ErrorKind::InvalidClaimFormat(_) => InvalidToken::Claims("`exp` or `nbf` is not a number"),
        ErrorKind::Json(_) => InvalidToken::Claims(
            "`publish` and `subscribe` must be lists of namespaces, `exp` a number of seconds",
        ),
        _ => InvalidToken::Malformed,
    }
}

/// Why there are no keys. Its text names the file, and never what is in it.
#[derive(Debug)]
pub struct KeyError {
    path: PathBuf,
    problem: String,
}

impl KeyError {
    pub(super) fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), problem: problem.into() }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no keys from {}: {}", self.path.display(), self.problem)
    }
}

impl Error for KeyError {}
