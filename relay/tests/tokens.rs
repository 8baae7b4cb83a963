//! JSON Web Tokens: which are believed, and which are not.
#![cfg(feature = "jwt")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use moqingbird_relay::auth::jwt::{Algorithm, Claims, InvalidToken, KeySet, SigningKey};

/// Made by `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048`, for these tests alone.
const RSA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/rsa.pem");

/// A directory of this test's own, empty.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tokens").join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn key(directory: &Path, algorithm: Algorithm, id: &str) -> SigningKey {
    let private = match algorithm {
        Algorithm::Rs256 => PathBuf::from(RSA),
        _ => {
            let path = directory.join(format!("{id}.private"));
            std::fs::write(&path, SigningKey::generate(algorithm, id).unwrap()).unwrap();
            path
        }
    };
    let key = SigningKey::load(&private, Some(id)).unwrap();
    std::fs::write(directory.join(format!("{id}.jwk")), key.verifying_jwk().to_string()).unwrap();
    key
}

fn claims() -> Claims {
    let mut claims = Claims::lasting(Duration::from_secs(600));
    claims.publish = vec!["live/cam".to_owned()];
    claims.subscribe = vec!["live".to_owned()];
    claims
}

/// A token of one's own making, signed by `sign`.
fn forge(header: &str, claims: &str, sign: impl FnOnce(&str) -> Vec<u8>) -> String {
    let message = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims));
    let signature = sign(&message);
    format!("{message}.{}", BASE64URL.encode(signature))
}

#[test]
fn what_is_signed_by_each_algorithm_is_believed() {
    let directory = directory("algorithms");
    let signers: Vec<_> = Algorithm::ALL.iter().map(|&it| key(&directory, it, it.name())).collect();
    let keys = KeySet::load(&directory).unwrap();
    assert_eq!(keys.ids().len(), 4);
    for signer in &signers {
        let token = signer.sign(&claims()).unwrap();
        assert_eq!(keys.verify(token.as_bytes()), Ok(claims()), "{}", signer.algorithm());
    }
}

#[test]
fn any_changed_byte_is_noticed() {
    let directory = directory("changed");
    for algorithm in [Algorithm::Hs256, Algorithm::Es256, Algorithm::EdDsa] {
        let signer = key(&directory, algorithm, algorithm.name());
        let keys = KeySet::load(&directory).unwrap();
        let token = signer.sign(&claims()).unwrap();
        for place in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            // Bits behind the last byte are in no byte, and base64 of other bits there is refused.
            assert!(keys.verify(&changed).is_err(), "{algorithm}: byte {place} of {token}");
        }
    }
}

#[test]
fn a_token_that_is_not_signed_is_refused() {
    let directory = directory("none");
    key(&directory, Algorithm::Es256, "a");
    let keys = KeySet::load(&directory).unwrap();
    let claims = serde_json::to_string(&claims()).unwrap();
    for alg in ["none", "None", "NONE", ""] {
        let token = forge(&format!(r#"{{"alg":"{alg}","kid":"a"}}"#), &claims, |_| Vec::new());
        assert_eq!(keys.verify(token.as_bytes()), Err(InvalidToken::Malformed), "{alg:?}");
        let unsigned = token.trim_end_matches('.');
        assert_eq!(keys.verify(unsigned.as_bytes()), Err(InvalidToken::Malformed), "{alg:?}");
    }
}

#[test]
fn the_key_that_a_token_names_is_the_one_that_counts() {
    let directory = directory("kid");
    let (one, two) = (key(&directory, Algorithm::EdDsa, "one"), key(&directory, Algorithm::EdDsa, "two"));
    let keys = KeySet::load(&directory).unwrap();
    let as_two = SigningKey::load(&directory.join("one.private"), Some("two")).unwrap();
    assert_eq!(keys.verify(as_two.sign(&claims()).unwrap().as_bytes()), Err(InvalidToken::WrongSignature));
    let as_three = SigningKey::load(&directory.join("one.private"), Some("three")).unwrap();
    assert_eq!(keys.verify(as_three.sign(&claims()).unwrap().as_bytes()), Err(InvalidToken::UnknownKey));
    for key in [one, two] {
        assert_eq!(keys.verify(key.sign(&claims()).unwrap().as_bytes()), Ok(claims()));
    }
    let nameless = forge(r#"{"alg":"EdDSA"}"#, "{}", |_| vec![0; 64]);
    assert_eq!(keys.verify(nameless.as_bytes()), Err(InvalidToken::NoKeyId));
}

#[test]
fn a_public_key_is_no_secret_of_hmac() {
    let directory = directory("confusion");
    let rsa = key(&directory, Algorithm::Rs256, "rsa");
    let keys = KeySet::load(&directory).unwrap();
    let jwk = rsa.verifying_jwk();
    let modulus = BASE64URL.decode(jwk["n"].as_str().unwrap()).unwrap();
    let public_pem = std::process::Command::new("openssl").args(["pkey", "-in", RSA, "-pubout"]).output();
    let secrets = [jwk.to_string().into_bytes(), modulus, public_pem.map(|it| it.stdout).unwrap_or_default()];
    let claims = serde_json::to_string(&claims()).unwrap();
    for secret in secrets {
        let token = forge(r#"{"alg":"HS256","kid":"rsa"}"#, &claims, |message| {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
            ring::hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
        });
        assert_eq!(keys.verify(token.as_bytes()), Err(InvalidToken::WrongAlgorithm));
    }
}

#[test]
fn time_is_respected() {
    let directory = directory("time");
    let signer = key(&directory, Algorithm::Hs256, "a");
    let keys = KeySet::load(&directory).unwrap();
    let verify = |claims: &Claims| keys.verify(signer.sign(claims).unwrap().as_bytes());
    let (mut past, mut future) = (claims(), claims());
    past.exp = 1_000_000_000;
    assert_eq!(verify(&past), Err(InvalidToken::Expired));
    future.nbf = Some(future.exp - 1);
    assert_eq!(verify(&future), Err(InvalidToken::NotYetValid));
}

#[test]
fn claims_must_be_of_their_types() {
    let directory = directory("claims");
    key(&directory, Algorithm::Hs256, "a");
    let keys = KeySet::load(&directory).unwrap();
    let secret: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(directory.join("a.jwk")).unwrap()).unwrap();
    let secret = BASE64URL.decode(secret["k"].as_str().unwrap()).unwrap();
    for claims in [
        "{}",
        "[]",
        "not json",
        r#"{"publish":["live"]}"#,
        r#"{"exp":"soon"}"#,
        r#"{"exp":99999999999,"publish":"live"}"#,
        r#"{"exp":99999999999,"publish":[1]}"#,
        r#"{"exp":-1}"#,
        r#"{"exp":99999999999,"nbf":"later"}"#,
    ] {
        let token = forge(r#"{"alg":"HS256","kid":"a"}"#, claims, |message| {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
            ring::hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
        });
        let verified = keys.verify(token.as_bytes());
        assert!(
            matches!(verified, Err(InvalidToken::Claims(_) | InvalidToken::Malformed)),
            "{claims}: {verified:?}"
        );
    }
}

#[test]
fn keys_are_read_from_a_set_a_file_or_a_directory() {
    let directory = directory("files");
    let keys = [key(&directory, Algorithm::Es256, "a"), key(&directory, Algorithm::Rs256, "b")];
    let set = directory.join("set");
    let jwks: Vec<_> = keys.iter().map(SigningKey::verifying_jwk).collect();
    std::fs::write(&set, serde_json::json!({ "keys": jwks }).to_string()).unwrap();
    let ids = |path: &Path| -> Vec<_> {
        KeySet::load(path)
            .unwrap()
            .ids()
            .into_iter()
            .map(|(id, algorithm)| (id.to_owned(), algorithm))
            .collect()
    };
    let both = [("a".to_owned(), Algorithm::Es256), ("b".to_owned(), Algorithm::Rs256)];
    assert_eq!(ids(&directory), both);
    assert_eq!(ids(&set), both);
    assert_eq!(ids(&directory.join("a.jwk")), both[..1]);
}

#[test]
fn what_is_no_key_is_named_by_its_file() {
    let directory = directory("bad");
    let error = |path: &Path| KeySet::load(path).unwrap_err().to_string();
    assert!(error(&directory).contains("there is no key in it"));
    assert!(error(&directory.join("nothing")).contains("nothing"));
    let file = directory.join("x.jwk");
    for (text, problem) in [
        ("secret", "no JSON Web Key"),
        (r#"{"kty":"oct","k":"%%"}"#, "base64url"),
        (r#"{"kty":"oct","k":"c2VjcmV0","alg":"HS512"}"#, "must be HS256"),
        (r#"{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}"#, "P-256"),
        (r#"{"keys":[{"kty":"oct","k":"AA","kid":"a"},{"kty":"oct","k":"AA","kid":"a"}]}"#, "two of this id"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = error(&file);
        assert!(error.contains("x.jwk") && error.contains(problem), "{text}: {error}");
        assert!(!error.contains("secret") && !error.contains("c2VjcmV0"), "{error}");
    }
}
