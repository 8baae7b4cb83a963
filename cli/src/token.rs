//! `moqt token`: keys and tokens for `moqt relay --auth jwt`.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Subcommand;
use humantime::Duration;
use moqingbird::wire::model::TrackNamespace;
use moqingbird_relay::auth::jwt::{Algorithm, Claims, KeySet, SigningKey};

use crate::exit::{Failure, Outcome};

/// Make keys, sign tokens and verify them: JSON Web Tokens for `moqt relay --auth jwt`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: TokenCommand,
}

const EXAMPLES: &str = "\
Examples:
  moqt token generate --alg ES256 --kid office --out keys
  moqt token sign --key keys/office.pem --publish live/cam --subscribe live --expires 1h
  moqt token verify --keys keys \"$TOKEN\"
  moqt relay --bind 0.0.0.0:4443 --auth jwt --auth-keys keys";

#[derive(Debug, Subcommand)]
enum TokenCommand {
    Generate(Generate),
    Sign(Sign),
    Verify(Verify),
}

/// Make a key: KID.pem, which signs, and KID.jwk, which the relay needs. HS256 has one secret for both, KID.jwk.
///
/// Prints one line for each file: `private PATH`, `public PATH`, or `secret PATH`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  moqt token generate --alg EdDSA --kid office --out keys")]
struct Generate {
    /// How tokens will be signed
    #[arg(long, value_name = "HS256|RS256|ES256|EdDSA", default_value = "ES256")]
    alg: Algorithm,
    /// The key's id, by which tokens name it; also the files' name
    #[arg(long, value_name = "ID", default_value = "key", value_parser = key_id)]
    kid: String,
    /// The directory to write to; it is created
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Make no new key: only the public half of this private one, PKCS #8 in PEM
    #[arg(long, value_name = "FILE", conflicts_with = "alg")]
    from: Option<PathBuf>,
}

/// Sign a token, and print it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  moqt token sign --key keys/office.pem --publish live/cam --subscribe live --expires 1h"
)]
struct Sign {
    /// The private key: PKCS #8 in PEM, or the .jwk of HS256
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The key's id [default: the key's own, or else the file's name]
    #[arg(long, value_name = "ID")]
    kid: Option<String>,
    /// Its holder may publish below this namespace, \"\" is everywhere; may be repeated
    #[arg(long, value_name = "NAMESPACE", value_parser = prefix)]
    publish: Vec<String>,
    /// Its holder may subscribe below this namespace, \"\" is everywhere; may be repeated
    #[arg(long, value_name = "NAMESPACE", value_parser = prefix)]
    subscribe: Vec<String>,
    /// How long it is good
    #[arg(long, value_name = "TIME", default_value = "1h")]
    expires: Duration,
    /// Whose it is, for people
    #[arg(long, value_name = "NAME")]
    sub: Option<String>,
}

/// Verify a token as the relay would, and print its claims. Exit status 1 if it is not good.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  moqt token verify --keys keys \"$TOKEN\"")]
struct Verify {
    /// The keys: a file with a JSON Web Key or a set of them, or a directory of .jwk files
    #[arg(long, value_name = "PATH")]
    keys: PathBuf,
    /// The token; `-` reads it from standard input
    token: String,
}

pub(crate) fn run(args: Args) -> Outcome {
    match args.command {
        TokenCommand::Generate(args) => generate(&args),
        TokenCommand::Sign(args) => sign(args),
        TokenCommand::Verify(args) => verify(&args),
    }
}

fn generate(args: &Generate) -> Outcome {
    let Generate { kid, out, .. } = args;
    std::fs::create_dir_all(out)
        .map_err(|error| Failure::input(format!("cannot create {}: {error}", out.display())))?;
    let jwk = out.join(format!("{kid}.jwk"));
    let mut stdout = io::stdout();
    let private = match (&args.from, args.alg) {
        (Some(private), _) => private.clone(),
        (None, Algorithm::Hs256) => {
            write_new(&jwk, &new_key(args.alg, kid)?, true)?;
            writeln!(stdout, "secret {}", jwk.display())?;
            return Ok(ExitCode::SUCCESS);
        }
        (None, alg) => {
            let private = out.join(format!("{kid}.pem"));
            write_new(&private, &new_key(alg, kid)?, true)?;
            writeln!(stdout, "private {}", private.display())?;
            private
        }
    };
    let key = SigningKey::load(&private, Some(kid)).map_err(Failure::input)?;
    write_new(&jwk, &format!("{:#}\n", key.verifying_jwk()), key.algorithm() == Algorithm::Hs256)?;
    writeln!(stdout, "public {}", jwk.display())?;
    Ok(ExitCode::SUCCESS)
}

fn new_key(algorithm: Algorithm, kid: &str) -> Result<String, Failure> {
    match algorithm {
        Algorithm::Rs256 => new_rsa_key(),
        algorithm => SigningKey::generate(algorithm, kid).map_err(Failure::failed),
    }
}

/// ring, the one crypto provider here, makes no RSA keys.
fn new_rsa_key() -> Result<String, Failure> {
    const ARGS: [&str; 5] = ["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt"];
    const BITS: &str = "rsa_keygen_bits:2048";
    let made = Command::new("openssl").args(ARGS).arg(BITS).output();
    let pem =
        made.ok().filter(|made| made.status.success()).and_then(|made| String::from_utf8(made.stdout).ok());
    pem.ok_or_else(|| {
        Failure::failed(
            "RSA keys are made by openssl, which does not run here: make one elsewhere by `openssl genpkey -algorithm RSA \
             -pkeyopt rsa_keygen_bits:2048 -out key.pem` and give it with --from, or choose --alg ES256",
        )
    })
}

/// Never writes over a key.
fn write_new(path: &Path, text: &str, secret: bool) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if secret {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = secret;
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failure::input(format!("cannot write {}: {error}", path.display())))
}

fn sign(args: Sign) -> Outcome {
    let key = SigningKey::load(&args.key, args.kid.as_deref()).map_err(Failure::input)?;
    let mut claims = Claims::lasting(args.expires.into());
    (claims.publish, claims.subscribe, claims.sub) = (args.publish, args.subscribe, args.sub);
    let token = key.sign(&claims).map_err(Failure::failed)?;
    writeln!(io::stdout(), "{token}")?;
    Ok(ExitCode::SUCCESS)
}

fn verify(args: &Verify) -> Outcome {
    let keys = KeySet::load(&args.keys).map_err(Failure::input)?;
    let mut token = args.token.clone();
    if token == "-" {
        token.clear();
        io::stdin().read_to_string(&mut token).map_err(Failure::input)?;
    }
    let claims = keys.verify(token.trim().as_bytes()).map_err(Failure::failed)?;
    let claims = serde_json::to_string_pretty(&claims).map_err(Failure::failed)?;
    writeln!(io::stdout(), "{claims}")?;
    Ok(ExitCode::SUCCESS)
}

/// It names files.
fn key_id(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match !text.is_empty() && !text.starts_with('.') && text.bytes().all(fits) {
        true => Ok(text.to_owned()),
        false => Err("write letters, digits, `-`, `_` and `.`, such as 2026-11".to_owned()),
    }
}

fn prefix(text: &str) -> Result<String, String> {
    TrackNamespace::from_path(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}
