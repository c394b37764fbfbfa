// SPDX-License-Identifier: MIT

//! Tokio has no token bucket. What one waits for to keep a rate is its interval, which catches up
//! by ticks in a row where its clock of milliseconds is too coarse.

use crate::time::percentile;
use crate::Figure;
use std::time::{Duration, Instant};
use tokio::time::interval;

/// Waits for ticks as they come, for so many milliseconds.
pub async fn wait(per_second: u32, ms: usize) -> Vec<Figure> {
    let length = Duration::from_millis(ms as u64);
    let mut interval = interval(Duration::from_secs(1) / per_second);
    let mut gaps = Vec::with_capacity((length.as_secs_f64() * per_second as f64) as usize + 1);

    // The first tick is there from the beginning: the time is taken from it on.
    interval.tick().await;
    let start = Instant::now();
    let mut last = start;
    while last - start < length {
        interval.tick().await;
        let now = Instant::now();
        gaps.push((now - last).as_nanos() as u64);
        last = now;
    }
    let due = start.elapsed().as_secs_f64() * per_second as f64;
    vec![
        Figure("rate-error", (gaps.len() as f64 - due) / due * 100.0, "%"),
        Figure("gap-p99", percentile(&mut gaps, 99) as f64 / 1e3, "us"),
    ]
}
