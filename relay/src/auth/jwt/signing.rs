//! Making keys, and signing with them.

use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD as BASE64URL};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::{Algorithm, Claims, KeyError};

/// A key that signs tokens, and its id.
pub struct SigningKey {
    id: String,
    key: Key,
    random: SystemRandom,
}

enum Key {
    Secret(Vec<u8>),
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl SigningKey {
    /// Makes the private half of a key as it is kept in a file: for HS256 a JSON Web Key, otherwise PKCS #8 in PEM.
    ///
    /// # Errors
    /// RSA keys are not made here; or the system has no randomness.
    pub fn generate(algorithm: Algorithm, id: &str) -> Result<String, String> {
        let random = SystemRandom::new();
        let failed = |_| "the system has no randomness".to_owned();
        match algorithm {
            Algorithm::Hs256 => {
                let mut secret = [0; 32];
                random.fill(&mut secret).map_err(failed)?;
                Ok(format!("{:#}\n", secret_jwk(id, &secret)))
            }
            Algorithm::Es256 => {
                let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
                    .map_err(failed)?;
                Ok(pem(key.as_ref()))
            }
            Algorithm::EdDsa => Ok(pem(Ed25519KeyPair::generate_pkcs8(&random).map_err(failed)?.as_ref())),
            Algorithm::Rs256 => Err("RSA keys are not made here".to_owned()),
        }
    }

    /// Reads a private key: PKCS #8 in PEM (RSA, EC P-256 or Ed25519), or a JSON Web Key with the secret of HS256. The id is
    /// `id`, or else the key's own `kid`, or else the file's name.
    ///
    /// # Errors
    /// The file cannot be read, or is no such key.
    pub fn load(path: &Path, id: Option<&str>) -> Result<Self, KeyError> {
        let text = std::fs::read(path).map_err(|error| KeyError::new(path, error.to_string()))?;
        let stem = || path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let (key, own_id) = read(&text).map_err(|problem| KeyError::new(path, problem))?;
        let id = id.map(str::to_owned).or(own_id).unwrap_or_else(stem);
        Ok(Self { id, key, random: SystemRandom::new() })
    }

    /// The key's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How it signs.
    pub const fn algorithm(&self) -> Algorithm {
        match self.key {
            Key::Secret(_) => Algorithm::Hs256,
            Key::Rsa(_) => Algorithm::Rs256,
            Key::Ec(_) => Algorithm::Es256,
            Key::Ed(_) => Algorithm::EdDsa,
        }
    }

    /// The half that a relay needs, as a JSON Web Key. That of HS256 is the secret itself.
    pub fn verifying_jwk(&self) -> Value {
        let (id, alg) = (&self.id, self.algorithm().name());
        match &self.key {
            Key::Secret(secret) => secret_jwk(id, secret),
            Key::Rsa(pair) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({ "kty": "RSA", "alg": alg, "kid": id, "n": BASE64URL.encode(n), "e": BASE64URL.encode(e) })
            }
            Key::Ec(pair) => {
                // 4, then both coordinates (SEC 1 §2.3.3).
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({
                    "kty": "EC", "crv": "P-256", "alg": alg, "kid": id,
                    "x": BASE64URL.encode(x), "y": BASE64URL.encode(y),
                })
            }
            Key::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "alg": alg, "kid": id, "x": BASE64URL.encode(pair.public_key()) })
            }
        }
    }

    /// A token with these claims.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn sign(&self, claims: &Claims) -> Result<String, String> {
        let header = json!({ "typ": "JWT", "alg": self.algorithm().name(), "kid": self.id });
        let claims = serde_json::to_vec(claims).map_err(|error| error.to_string())?;
        let message = format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(claims));
        let signature =
            self.signature(message.as_bytes()).map_err(|_| "the token cannot be signed".to_owned())?;
        Ok(format!("{message}.{}", BASE64URL.encode(signature)))
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, ring::error::Unspecified> {
        match &self.key {
            Key::Secret(secret) => {
                Ok(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec())
            }
            Key::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &self.random, message, &mut signature)?;
                Ok(signature)
            }
            Key::Ec(pair) => Ok(pair.sign(&self.random, message)?.as_ref().to_vec()),
            Key::Ed(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

fn read(text: &[u8]) -> Result<(Key, Option<String>), String> {
    if let Ok(jwk) = serde_json::from_slice::<Value>(text) {
        let field = |name: &str| jwk.get(name).and_then(Value::as_str);
        let secret =
            field("k").filter(|_| field("kty") == Some("oct")).and_then(|k| BASE64URL.decode(k).ok());
        let secret = secret
            .ok_or("of JSON Web Keys only those of HS256 (`kty` oct) sign here: give PKCS #8 in PEM")?;
        return Ok((Key::Secret(secret), field("kid").map(str::to_owned)));
    }
    let der = PrivatePkcs8KeyDer::from_pem_slice(text)
        .map_err(|_| "neither a JSON Web Key nor a PEM file with a `-----BEGIN PRIVATE KEY-----` block")?;
    let der = der.secret_pkcs8_der();
    let key = if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
        Key::Ed(pair)
    } else if let Ok(pair) =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new())
    {
        Key::Ec(pair)
    } else if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
        Key::Rsa(pair)
    } else {
        return Err("the private key is not RSA of 2,048 bits or more, EC P-256 or Ed25519".to_owned());
    };
    Ok((key, None))
}

fn secret_jwk(id: &str, secret: &[u8]) -> Value {
    json!({ "kty": "oct", "alg": Algorithm::Hs256.name(), "kid": id, "k": BASE64URL.encode(secret) })
}

/// RFC 7468: lines of 64 characters.
fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}
