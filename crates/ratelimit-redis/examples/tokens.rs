//! Reserve tokens by estimate, settle to what an answer cost.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::num::NonZeroU32;

use ratelimit_redis::{Actual, Charge, Decision, Limiter, LimiterError, MemoryLimiter, Quota};

const PER_MINUTE: Quota = Quota::per_minute(NonZeroU32::new(1_000).unwrap());

#[tokio::main]
async fn main() -> Result<(), LimiterError> {
    let limiter = MemoryLimiter::new();
    for (estimate, actual) in [(600, 40), (600, 900), (600, 600)] {
        let charge = Charge::new("tenant:a", "tokens", PER_MINUTE, estimate);
        match limiter.reserve(&[charge]).await? {
            Decision::Allow(held) => {
                limiter.settle(held, &Actual::as_charged().unit("tokens", actual)).await?;
                println!("estimate {estimate}, cost {actual}");
            }
            Decision::Deny(denial) => println!("estimate {estimate}, wait {:?}", denial.retry_after()),
            Decision::NeverFits(error) => println!("estimate {estimate}, most {}", error.most()),
        }
    }
    Ok(())
}
