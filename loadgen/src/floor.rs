//! The floor: what a loop through a trivial echo takes, by the same code as everything.

use crate::coordinator::{RunError, run_number, run_quietly, told};
use crate::echo;
use crate::plan::Plan;
use crate::quantity::Span;
use crate::results::Floor;
use crate::scenario::{Generator, Protocol, Scenario};
use std::io;

/// How long it is measured, and what of that does not count.
const DURATION: Span = Span::from_secs(2);
const WARM_UP: Span = Span::from_millis(200);

/// Measures the floor of a scenario's results: with its size of messages, and waiting as
/// its threads do.
///
/// # Errors
/// [`RunError`] if it can't be measured.
pub(crate) fn measure_floor(scenario: &Scenario) -> Result<Floor, RunError> {
    let failed =
        |says: &dyn std::fmt::Display| RunError(format!("the floor can not be measured: {says}"));
    let (address, echo) = echo::start(2).map_err(|error: io::Error| failed(&error))?;
    let mut own = Scenario {
        name: "floor".to_owned(),
        ..Scenario::default()
    };
    own.target.addresses = vec![address.to_string()];
    own.mqtt.version = Protocol::Mqtt311;
    // Pings would come back as if the server had sent them.
    own.mqtt.keep_alive = Span::default();
    own.load.payload = scenario.load.payload;
    own.load.duration = DURATION;
    own.load.warm_up = WARM_UP;
    own.generator = Generator {
        threads: 1,
        processes: 1,
        ..scenario.generator.clone()
    };
    let rate = own.load.rate;
    let results = run_quietly(Plan::new(own, run_number()).map_err(told)?)?;
    // Whether its clients left in order is no matter.
    let _ = echo.join();
    if results.correctness.violations() > 0 || results.response.is_empty() {
        return Err(failed(
            &"what came back from the echo was not what was sent",
        ));
    }
    Ok(Floor {
        rate,
        payload_bytes: scenario.load.payload,
        response: results.response,
    })
}
