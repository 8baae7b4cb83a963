//! What a run is to do: flags first, then the environment, then the defaults.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use moqingbird::{ServerUrl, Version};

use crate::{Args, ProbeOptions};

/// The longest time that may be given.
const YEAR: f64 = 365.0 * 24.0 * 3600.0;

/// What a run is to do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The servers to probe. Empty: those of the list.
    pub urls: Vec<ServerUrl>,
    /// Where the list is.
    pub relays_file: PathBuf,
    /// Where the status goes. `None`: nowhere, as with URLs where no flag asks for it.
    pub output_file: Option<PathBuf>,
    /// How long a relay rests between two probes, unless the list says otherwise.
    pub interval: Duration,
    /// After how many rounds to end. `None`: never.
    pub cycles: Option<u64>,
    /// How a probe is done.
    pub probe: ProbeOptions,
}

impl Settings {
    /// Joins flags and environment. An empty variable counts as absent.
    ///
    /// # Errors
    /// A URL or a time that cannot be used.
    pub fn resolve(
        args: &Args,
        env: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> Result<Self, SettingsError> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let seconds = |flag: &Option<String>, name: &'static str, variable: &'static str, default| {
            let (text, source) = match (flag, env(variable)) {
                (Some(text), _) => (text.clone(), name),
                (None, Some(text)) => (text, variable),
                (None, None) => return Ok(Duration::from_secs(default)),
            };
            seconds(&text).ok_or(SettingsError(format!(
                "{source} is `{text}`: write seconds, such as 8 or 0.5, up to a year"
            )))
        };
        let timeout = seconds(&args.timeout, "--timeout", "PROBE_TIMEOUT", 8)?;
        if timeout.is_zero() {
            return Err(SettingsError("a timeout of 0 leaves no server time to answer".to_owned()));
        }
        let urls = args.urls.iter().chain(&args.url).map(|url| url.parse::<ServerUrl>());
        let urls = urls.collect::<Result<Vec<_>, _>>().map_err(|error| SettingsError(error.to_string()))?;
        let once = args.once || (args.cycles.is_none() && truth(env("PROBE_ONCE")));
        Ok(Self {
            relays_file: args
                .relays_file
                .clone()
                .or_else(|| env("RELAYS_FILE").map(PathBuf::from))
                .unwrap_or_else(|| PathBuf::from("/app/relays.json")),
            output_file: args.output_file.clone().or_else(|| {
                let default = || PathBuf::from("/output/relay-status.json");
                urls.is_empty().then(|| env("OUTPUT_FILE").map_or_else(default, PathBuf::from))
            }),
            urls,
            interval: seconds(&args.interval, "--interval", "PROBE_INTERVAL", 300)?,
            cycles: if once { Some(1) } else { args.cycles },
            probe: ProbeOptions {
                versions: versions(args),
                timeout,
                deep: args.deep,
                insecure: args.insecure,
                roots: args.ca.clone(),
                parallel: args.parallel.max(1).into(),
            },
        })
    }
}

/// Oldest first: some relays take a bare WebTransport request badly after one with protocols.
fn versions(args: &Args) -> Vec<Version> {
    let mut versions =
        args.draft.as_ref().map_or_else(|| Version::ALL.to_vec(), |drafts| drafts.versions().to_vec());
    versions.sort_unstable();
    versions
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    (0.0..=YEAR).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

fn truth(value: Option<String>) -> bool {
    value.is_some_and(|value| ["1", "true", "yes"].iter().any(|yes| value.eq_ignore_ascii_case(yes)))
}

/// Why a run cannot begin. One line for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError(String);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn resolve(args: &Args, vars: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let env =
            |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Settings::resolve(args, &env)
    }

    #[test]
    fn without_anything_the_defaults_are_those_of_relay_probe() {
        let settings = resolve(&Args::default(), &[]).unwrap();
        assert_eq!(settings.relays_file, Path::new("/app/relays.json"));
        assert_eq!(settings.output_file.as_deref(), Some(Path::new("/output/relay-status.json")));
        assert_eq!(settings.probe.timeout, Duration::from_secs(8));
        assert_eq!((settings.interval, settings.cycles), (Duration::from_secs(300), None));
        assert_eq!(settings.probe.versions, [Version::Draft14, Version::Draft16]);
    }

    #[test]
    fn every_variable_has_its_effect() {
        let vars = [
            ("RELAYS_FILE", "list.json"),
            ("OUTPUT_FILE", "status.json"),
            ("PROBE_TIMEOUT", "2.5"),
            ("PROBE_INTERVAL", "0"),
            ("PROBE_ONCE", "yes"),
        ];
        let settings = resolve(&Args::default(), &vars).unwrap();
        assert_eq!(settings.relays_file, Path::new("list.json"));
        assert_eq!(settings.output_file.as_deref(), Some(Path::new("status.json")));
        assert_eq!(settings.probe.timeout, Duration::from_millis(2500));
        assert_eq!((settings.interval, settings.cycles), (Duration::ZERO, Some(1)));
    }

    #[test]
    fn a_flag_goes_before_the_environment() {
        let args = Args {
            relays_file: Some("flag.json".into()),
            output_file: Some("out.json".into()),
            timeout: Some("3".to_owned()),
            interval: Some("4".to_owned()),
            cycles: Some(5),
            ..Args::default()
        };
        let vars = [
            ("RELAYS_FILE", "list.json"),
            ("OUTPUT_FILE", "status.json"),
            ("PROBE_TIMEOUT", "2"),
            ("PROBE_INTERVAL", "0"),
            ("PROBE_ONCE", "1"),
        ];
        let settings = resolve(&args, &vars).unwrap();
        assert_eq!(settings.relays_file, Path::new("flag.json"));
        assert_eq!(settings.output_file.as_deref(), Some(Path::new("out.json")));
        assert_eq!(settings.probe.timeout, Duration::from_secs(3));
        assert_eq!((settings.interval, settings.cycles), (Duration::from_secs(4), Some(5)));
    }

    #[test]
    fn only_1_true_and_yes_make_it_once() {
        let cycles = |value| resolve(&Args::default(), &[("PROBE_ONCE", value)]).unwrap().cycles;
        for value in ["1", "true", "YES"] {
            assert_eq!(cycles(value), Some(1), "{value}");
        }
        for value in ["", "0", "false", "no"] {
            assert_eq!(cycles(value), None, "{value}");
        }
    }

    #[test]
    fn urls_write_no_file_unless_a_flag_says_so() {
        let urls = vec!["moqt://relay.example".to_owned()];
        let args = Args { urls: urls.clone(), ..Args::default() };
        assert_eq!(resolve(&args, &[("OUTPUT_FILE", "status.json")]).unwrap().output_file, None);
        let args = Args { url: urls, output_file: Some("out.json".into()), ..Args::default() };
        let settings = resolve(&args, &[]).unwrap();
        assert_eq!((settings.urls.len(), settings.output_file), (1, Some("out.json".into())));
    }

    #[test]
    fn what_cannot_be_used_is_named_with_where_it_stands() {
        for (vars, named) in [
            ([("PROBE_TIMEOUT", "soon")], "PROBE_TIMEOUT is `soon`"),
            ([("PROBE_TIMEOUT", "0")], "a timeout of 0"),
            ([("PROBE_INTERVAL", "-1")], "PROBE_INTERVAL is `-1`"),
            ([("PROBE_INTERVAL", "inf")], "PROBE_INTERVAL is `inf`"),
        ] {
            let error = resolve(&Args::default(), &vars).unwrap_err().to_string();
            assert!(error.starts_with(named), "{error}");
        }
        let args = Args { urls: vec!["relay.example:4443".to_owned()], ..Args::default() };
        assert!(resolve(&args, &[]).unwrap_err().to_string().contains("`relay.example:4443`"));
    }
}
