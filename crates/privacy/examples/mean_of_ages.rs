//! Tells the mean of ages, one a line on standard input, with differential privacy: nobody's age can be seen in it.
//!
//! `for i in $(seq 40); do seq 20 70; done | cargo run -p privacy --example mean_of_ages`
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::io;
use std::num::NonZeroU32;

use privacy::dp::{Aggregates, Clipped, Grid, Randomness, Receipt, Rho};

/// What is left of a budget. A service keeps it where no restart loses it, and reserves in one step.
struct Ledger(u64);

impl Ledger {
    fn reserve(&mut self, cost: Rho) -> Result<Receipt, Box<dyn Error>> {
        self.0 = self.0.checked_sub(cost.as_nano()).ok_or("there is less left")?;
        Ok(Receipt::of_reserved(cost, Rho::from_nano(self.0)?))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let ages = io::stdin().lines().map(|line| Ok(line?.trim().parse::<f64>()?)).collect::<Result<Vec<_>, _>>();
    let ages: Vec<f64> = ages.map_err(|error: Box<dyn Error>| format!("one age a line: {error}"))?;
    let count = u32::try_from(ages.len()).ok().and_then(NonZeroU32::new).ok_or("no ages")?;

    // How many there are is known; one age changes their sum by 120 at most, which clipping makes sure of.
    let range = Clipped::new(Grid::steps(NonZeroU32::MIN), 0, 120 * i64::from(count.get()))?;
    let one = NonZeroU32::MIN.saturating_add(119);
    let sum = Aggregates::danger_gaussian(range, NonZeroU32::MIN, one, "0.05".parse()?)?;
    let clipped: f64 = ages.iter().map(|age| age.clamp(0.0, 120.0)).sum();

    let mut ledger = Ledger("0.1".parse::<Rho>()?.as_nano());
    let mut random = Randomness::from_system()?;
    for _ in 0..3 {
        let Ok(receipt) = ledger.reserve(sum.rho()) else {
            println!("the budget is spent");
            break;
        };
        let released = sum.release(&[clipped], receipt, &mut random)?;
        let mean = released.value.iter().sum::<f64>() / f64::from(count.get());
        println!("{mean:.2} by {} for {}, {} is left", released.mechanism, released.rho, released.remaining);
    }
    Ok(())
}
