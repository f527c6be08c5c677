//! Settings of the host for the time of a run: each is printed as it is set, and as it is
//! put back.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What was set; dropping it puts back what was there.
#[derive(Debug, Default)]
pub(crate) struct HostSettings {
    /// Files with what was in them, in the order in which they were set.
    before: Vec<(PathBuf, String)>,
}

/// A setting that could not be made.
#[derive(Debug)]
pub(crate) struct HostSettingError {
    path: PathBuf,
    error: io::Error,
}

impl HostSettings {
    /// Sets all of them, or none: names are files below `/proc/sys` with dots or slashes, or
    /// whole paths below `/sys`.
    pub(crate) fn set(wanted: &BTreeMap<String, String>) -> Result<Self, HostSettingError> {
        let mut settings = Self::default();
        for (name, value) in wanted {
            let path = path(name);
            let failed = |error| HostSettingError {
                path: path.clone(),
                error,
            };
            let before = fs::read_to_string(&path).map_err(failed)?;
            let before = before.trim().to_owned();
            if before == *value {
                continue;
            }
            write(&path, value).map_err(failed)?;
            eprintln!("{} = {value} (was {before})", path.display());
            settings.before.push((path, before));
        }
        Ok(settings)
    }
}

impl Drop for HostSettings {
    fn drop(&mut self) {
        for (path, before) in self.before.iter().rev() {
            match write(path, before) {
                Ok(()) => eprintln!("{} = {before} again", path.display()),
                Err(error) => eprintln!(
                    "{} could not be put back to {before}: {error}",
                    path.display()
                ),
            }
        }
    }
}

fn path(name: &str) -> PathBuf {
    match name.strip_prefix('/') {
        Some(_) => PathBuf::from(name),
        None => Path::new("/proc/sys").join(name.replace('.', "/")),
    }
}

fn write(path: &Path, value: &str) -> io::Result<()> {
    fs::write(path, format!("{value}\n"))
}

impl fmt::Display for HostSettingError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "host: {} can not be set ({}): run it as root, or leave it out",
            self.path.display(),
            self.error
        )
    }
}

impl std::error::Error for HostSettingError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_files() {
        assert_eq!(
            path("net.core.somaxconn"),
            Path::new("/proc/sys/net/core/somaxconn")
        );
        assert_eq!(
            path("/sys/class/net/lo/mtu"),
            Path::new("/sys/class/net/lo/mtu")
        );
    }

    #[test]
    fn what_was_there_is_put_back() {
        let file = std::env::temp_dir().join(format!("ringcast-loadgen-{}", std::process::id()));
        fs::write(&file, "old\n").expect("it can be written");
        let wanted = |value: &str| {
            let missing = ("/no/such/setting".to_owned(), "1".to_owned());
            let ours = (file.display().to_string(), value.to_owned());
            [missing, ours]
        };
        let [missing, ours] = wanted("new");
        let settings = HostSettings::set(&BTreeMap::from([ours.clone()])).expect("it can be set");
        assert_eq!(fs::read_to_string(&file).expect("it is there"), "new\n");
        drop(settings);
        assert_eq!(fs::read_to_string(&file).expect("it is there"), "old\n");
        let error =
            HostSettings::set(&BTreeMap::from([missing, ours])).expect_err("one is not there");
        assert!(error.to_string().contains("/no/such/setting"));
        assert_eq!(fs::read_to_string(&file).expect("it is there"), "old\n");
        fs::remove_file(&file).expect("it is ours");
    }
}
