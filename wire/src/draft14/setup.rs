//! CLIENT_SETUP and SERVER_SETUP (draft-14 §9.3), whose parameters have a number space of their own.

use super::params::{AUTHORIZATION_TOKEN, List, Placed, each};
use crate::buf::{Reader, Writer};
use crate::error::{DecodeError, EncodeError};
use crate::list::FoundValue;
use crate::model::Setup;

const PATH: u64 = 0x01;
const MAX_REQUEST_ID: u64 = 0x02;
const MAX_AUTH_TOKEN_CACHE_SIZE: u64 = 0x04;
/// The text gives 0x05 to MOQT_IMPLEMENTATION too; everybody writes that at 0x07, as the drafts after this one do. So
/// 0x05 is an authority from whichever side it comes, and a session may refuse it from a server (§9.3.2.1).
const AUTHORITY: u64 = 0x05;
const MOQT_IMPLEMENTATION: u64 = 0x07;

/// What a parameter is called.
const fn name(key: u64) -> Option<&'static str> {
    Some(match key {
        PATH => "PATH",
        MAX_REQUEST_ID => "MAX_REQUEST_ID",
        AUTHORIZATION_TOKEN => "AUTHORIZATION TOKEN",
        MAX_AUTH_TOKEN_CACHE_SIZE => "MAX_AUTH_TOKEN_CACHE_SIZE",
        AUTHORITY => "AUTHORITY",
        MOQT_IMPLEMENTATION => "MOQT IMPLEMENTATION",
        _ => return None,
    })
}

pub(super) fn client(r: &mut Reader<'_>) -> Result<Setup, DecodeError> {
    let count = r.varint("Number of Supported Versions")?;
    // Every version takes a byte at least, so the bytes at hand bound what is allocated.
    let mut versions = Vec::with_capacity(count.min(r.remaining() as u64) as usize);
    for _ in 0..count {
        versions.push(r.varint("Supported Version")?);
    }
    parameters(r, versions)
}

pub(super) fn write_client(w: &mut Writer, setup: &Setup) -> Result<(), EncodeError> {
    w.varint(setup.versions.len() as u64, "Number of Supported Versions")?;
    for version in &setup.versions {
        w.varint(*version, "Supported Version")?;
    }
    write_parameters(w, setup)
}

pub(super) fn server(r: &mut Reader<'_>) -> Result<Setup, DecodeError> {
    let selected = r.varint("Selected Version")?;
    parameters(r, vec![selected])
}

pub(super) fn write_server(w: &mut Writer, setup: &Setup) -> Result<(), EncodeError> {
    let [selected] = setup.versions[..] else { return Err(EncodeError::Inexpressible("Selected Version")) };
    w.varint(selected, "Selected Version")?;
    write_parameters(w, setup)
}

/// Reads the parameters. Unknown ones are kept, however often they come (draft-14 §9.2, §9.3.2).
fn parameters(r: &mut Reader<'_>, versions: Vec<u64>) -> Result<Setup, DecodeError> {
    let mut setup = Setup { versions, ..Setup::default() };
    let mut limits = Limits::default();
    each(r, "Setup Parameters", name, |pair| take(&mut setup, &mut limits, pair))?;
    setup.max_request_id = limits.max_request_id.unwrap_or(0);
    setup.max_auth_token_cache_size = limits.max_auth_token_cache_size.unwrap_or(0);
    Ok(setup)
}

/// The parameters whose absence means 0 (draft-14 §9.3.2.3, §9.3.2.4).
#[derive(Default)]
struct Limits {
    max_request_id: Option<u64>,
    max_auth_token_cache_size: Option<u64>,
}

fn take(setup: &mut Setup, limits: &mut Limits, pair: &Placed<'_, '_>) -> Result<(), DecodeError> {
    match (pair.found.key, &pair.found.value) {
        (PATH, FoundValue::Bytes(value)) => pair.once(&mut setup.path, value.left(), "PATH"),
        (AUTHORITY, FoundValue::Bytes(value)) => pair.once(&mut setup.authority, value.left(), "AUTHORITY"),
        (MOQT_IMPLEMENTATION, FoundValue::Bytes(value)) => {
            pair.once(&mut setup.implementation, value.left(), "MOQT IMPLEMENTATION")
        }
        (MAX_REQUEST_ID, FoundValue::Integer(limit)) => {
            pair.once(&mut limits.max_request_id, *limit, "MAX_REQUEST_ID")
        }
        (MAX_AUTH_TOKEN_CACHE_SIZE, FoundValue::Integer(size)) => {
            pair.once(&mut limits.max_auth_token_cache_size, *size, "MAX_AUTH_TOKEN_CACHE_SIZE")
        }
        (AUTHORIZATION_TOKEN, FoundValue::Bytes(value)) => pair.token(value, &mut setup.authorization_tokens),
        _ => {
            pair.unknown(&mut setup.unknown, name);
            Ok(())
        }
    }
}

/// Writes the parameters in ascending order of types, then the unknown ones; limits of 0 are left out.
fn write_parameters(w: &mut Writer, setup: &Setup) -> Result<(), EncodeError> {
    if setup.unknown.iter().any(|pair| name(pair.key).is_some()) {
        return Err(EncodeError::Inexpressible("Setup Parameters"));
    }
    let mut list = List::default();
    list.bytes(PATH, setup.path.as_ref());
    if setup.max_request_id != 0 {
        list.integer(MAX_REQUEST_ID, setup.max_request_id);
    }
    list.tokens(&setup.authorization_tokens)?;
    if setup.max_auth_token_cache_size != 0 {
        list.integer(MAX_AUTH_TOKEN_CACHE_SIZE, setup.max_auth_token_cache_size);
    }
    list.bytes(AUTHORITY, setup.authority.as_ref());
    list.bytes(MOQT_IMPLEMENTATION, setup.implementation.as_ref());
    list.pairs(&setup.unknown);
    list.encode(w, "Setup Parameters")
}
