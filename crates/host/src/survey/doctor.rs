//! What `mainstay doctor` tells about the engine and this host. Facts only; reads, changes nothing.

use std::path::Path;

use mainstay_core::problem::Problem;

use super::facts::Space;
use super::space;
use crate::compose::{Installed, installed};
use crate::engine::Engine;

/// The engine and the host, as far as they matter to an update.
#[derive(Clone, Debug)]
pub struct Doctor {
    /// Where the engine was reached, and who named it.
    pub host: String,
    /// The engine's version.
    pub engine_version: String,
    /// The API version that was agreed on.
    pub api_version: String,
    /// Which Compose is installed, or that none is.
    pub compose: Result<Installed, Problem>,
    /// `overlay2`, ….
    pub storage_driver: String,
    /// `1` or `2`.
    pub cgroup_version: String,
    /// Whether the engine's directories can be read here.
    pub local: bool,
    /// Room where the engine keeps its data; `None` where that is not on this machine.
    pub engine_space: Option<Space>,
    /// Room where our state is kept.
    pub state_space: Option<Space>,
    /// The engine's clock minus ours, in milliseconds; `None` where the engine doesn't say its time.
    pub clock_skew_ms: Option<i64>,
}

/// Asks the engine and looks at the host.
///
/// # Errors
///
/// Those of the engine.
pub async fn doctor(engine: &Engine, state_dir: &Path) -> Result<Doctor, Problem> {
    let before = now();
    let info = engine.info().await?;
    // The answer was given about half-way.
    let ours = before.midpoint(now());
    let local = engine.is_local();
    Ok(Doctor {
        host: format!("{} ({})", engine.endpoint().host, engine.endpoint().source),
        engine_version: engine.version().to_owned(),
        api_version: engine.api_version().to_owned(),
        compose: installed().await,
        storage_driver: info.driver.unwrap_or_default(),
        cgroup_version: info.cgroup_version.map(|v| v.to_string()).unwrap_or_default(),
        local,
        engine_space: if local { space::free(engine.root()).ok() } else { None },
        state_space: space::free(state_dir).ok(),
        clock_skew_ms: info.system_time.and_then(|t| parse(&t)).map(|theirs| theirs - ours),
    })
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn parse(time: &str) -> Option<i64> {
    Some(time.parse::<jiff::Timestamp>().ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_clock_is_understood() {
        assert_eq!(parse("1970-01-01T00:00:01.5Z"), Some(1500));
        assert_eq!(parse("1970-01-01T01:00:01.000000001+01:00"), Some(1000));
        assert_eq!(parse("soon"), None);
    }
}
