//! What a run is to do: flags first, then the environment, then the defaults.

use std::fmt;
use std::path::PathBuf;

use moqingbird::ServerUrl;

use crate::cases::{self, Case, Cases};
use crate::{Args, Drafts, DraftsError};

/// What a run is to do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The relay. `None`: one is started within the program.
    pub relay: Option<ServerUrl>,
    /// The cases that were asked for, if any were: else those of the runner against a relay that is given, and all
    /// against one within the program.
    pub cases: Option<Cases>,
    /// The case that is made to pass always, if the client is to test itself.
    pub planted: Option<&'static Case>,
    /// Whether the server's certificate is verified.
    pub verify: bool,
    /// The drafts that are allowed.
    pub drafts: Drafts,
    /// Where event logs go. `None`: nowhere.
    pub mlog_dir: Option<PathBuf>,
}

impl Settings {
    /// Joins flags and environment. An empty variable counts as absent.
    ///
    /// # Errors
    /// A URL, draft or case that cannot be used.
    pub fn resolve(args: &Args, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let target = |name: &str| env(name).filter(|_| !args.self_test);
        let relay = args.relay.clone().or_else(|| target("RELAY_URL"));
        let case = args.test.clone().or_else(|| target("TESTCASE"));
        Ok(Self {
            relay: relay.map(|url| url.parse()).transpose().map_err(|error| SettingsError::usage(&error))?,
            cases: match case {
                Some(name) => Some(Cases::One(find(name)?)),
                None => args.all.then_some(Cases::All),
            },
            planted: args.plant.clone().map(find).transpose()?,
            verify: !(args.tls_disable_verify || truth(env("TLS_DISABLE_VERIFY"))),
            drafts: drafts(args, &env)?,
            mlog_dir: args.mlog_dir.clone().or_else(|| env("MOQT_MLOG_DIR").map(PathBuf::from)),
        })
    }

    /// Whether flag or environment asks for more logs.
    pub fn verbose(args: &Args, env: &dyn Fn(&str) -> Option<String>) -> bool {
        args.verbose || truth(env("VERBOSE"))
    }
}

fn find(name: String) -> Result<&'static Case, SettingsError> {
    cases::find(&name).ok_or(SettingsError::UnknownCase(name))
}

/// A harness sets the same variable for every client, so it may name drafts that are not ours; a flag may not.
fn drafts(args: &Args, env: &dyn Fn(&str) -> Option<String>) -> Result<Drafts, SettingsError> {
    if let Some(drafts) = &args.draft {
        return Ok(drafts.clone());
    }
    match env("MOQT_DRAFT").or_else(|| env("DRAFT")) {
        None => Ok(Drafts::all()),
        Some(offer) => Drafts::from_offer(&offer).map_err(|error| match error {
            DraftsError::NotSpoken(_) => SettingsError::UnknownDraft(error),
            DraftsError::NotADraft(_) => SettingsError::usage(&error),
        }),
    }
}

/// `make test-external` passes the word `false`, so that presence alone says nothing.
fn truth(value: Option<String>) -> bool {
    value.is_some_and(|value| ["1", "true", "yes"].iter().any(|yes| value.eq_ignore_ascii_case(yes)))
}

/// Why a run cannot begin. One line for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingsError {
    /// Something given cannot be used.
    Usage(String),
    /// There is no case of this name.
    UnknownCase(String),
    /// The environment pins drafts of which none is spoken here.
    UnknownDraft(DraftsError),
}

impl SettingsError {
    fn usage(error: &dyn fmt::Display) -> Self {
        Self::Usage(error.to_string())
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(line) => f.write_str(line),
            Self::UnknownCase(name) => {
                write!(f, "there is no case `{name}`: `--list` prints those that there are")
            }
            Self::UnknownDraft(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SettingsError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(args: &Args, vars: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let env =
            |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Settings::resolve(args, &env)
    }

    fn asked(settings: &Settings) -> Vec<&'static str> {
        settings.cases.unwrap().iter().map(|case| case.name).collect()
    }

    #[test]
    fn without_flags_and_environment_the_run_is_embedded_and_whole() {
        let settings = resolve(&Args::default(), &[]).unwrap();
        assert!(settings.relay.is_none() && settings.cases.is_none());
        assert!(settings.verify);
        assert_eq!(settings.drafts, Drafts::all());
    }

    #[test]
    fn a_flag_goes_before_the_environment() {
        let args = Args {
            relay: Some("moqt://flag:1".to_owned()),
            test: Some("setup-only".to_owned()),
            draft: Some("14".parse().unwrap()),
            ..Args::default()
        };
        let vars = [("RELAY_URL", "https://env/"), ("TESTCASE", "announce-only"), ("MOQT_DRAFT", "16")];
        let settings = resolve(&args, &vars).unwrap();
        assert_eq!(settings.relay.as_ref().unwrap().to_string(), "moqt://flag:1");
        assert_eq!(asked(&settings), ["setup-only"]);
        assert_eq!(settings.drafts.to_string(), "draft-14");
    }

    #[test]
    fn the_environment_goes_before_the_default() {
        let vars = [("RELAY_URL", "https://env/"), ("TESTCASE", "announce-only"), ("DRAFT", "draft-14")];
        let settings = resolve(&Args::default(), &vars).unwrap();
        assert_eq!(settings.relay.as_ref().unwrap().to_string(), "https://env/");
        assert_eq!(asked(&settings), ["announce-only"]);
        assert_eq!(settings.drafts.to_string(), "draft-14");
    }

    #[test]
    fn moqt_draft_goes_before_draft() {
        let settings =
            resolve(&Args::default(), &[("DRAFT", "14"), ("MOQT_DRAFT", "draft-18,draft-16")]).unwrap();
        assert_eq!(settings.drafts.to_string(), "draft-16");
    }

    #[test]
    fn an_empty_variable_is_absent() {
        let vars = [("RELAY_URL", ""), ("TESTCASE", ""), ("MOQT_DRAFT", ""), ("TLS_DISABLE_VERIFY", "")];
        let settings = resolve(&Args::default(), &vars).unwrap();
        assert!(settings.relay.is_none() && settings.cases.is_none() && settings.verify);
    }

    #[test]
    fn only_1_true_and_yes_are_true() {
        let verify = |value| resolve(&Args::default(), &[("TLS_DISABLE_VERIFY", value)]).unwrap().verify;
        for value in ["1", "true", "TRUE", "yes"] {
            assert!(!verify(value), "{value}");
        }
        for value in ["false", "0", "no", "off", "2", "maybe"] {
            assert!(verify(value), "{value}");
        }
    }

    #[test]
    fn a_renamed_case_is_found_by_its_new_name() {
        for (new, name) in [
            ("publish-namespace-only", "announce-only"),
            ("publish-namespace-subscribe", "announce-subscribe"),
            ("subscribe-before-publish-namespace", "subscribe-before-announce"),
        ] {
            let settings = resolve(&Args::default(), &[("TESTCASE", new)]).unwrap();
            assert_eq!(asked(&settings), [name]);
        }
    }

    #[test]
    fn all_cases_are_asked_for_by_a_flag_and_one_by_its_name() {
        let all = Args { all: true, ..Args::default() };
        assert_eq!(asked(&resolve(&all, &[]).unwrap()).len(), cases::CASES.len());
        let one = resolve(&all, &[("TESTCASE", "fetch")]).unwrap();
        assert_eq!(asked(&one), ["fetch"]);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let of = |vars: &[(&str, &str)]| resolve(&Args::default(), vars).unwrap_err();
        assert!(
            matches!(of(&[("RELAY_URL", "moqt://")]), SettingsError::Usage(line) if line.contains("`moqt://`"))
        );
        assert!(
            matches!(of(&[("TESTCASE", "nonesuch")]), SettingsError::UnknownCase(name) if name == "nonesuch")
        );
        assert!(matches!(of(&[("MOQT_DRAFT", "draft-18")]), SettingsError::UnknownDraft(_)));
        assert!(matches!(of(&[("MOQT_DRAFT", "new")]), SettingsError::Usage(_)));
    }
}
