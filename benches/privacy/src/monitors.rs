//! X5: whether monitors, calibrated on honest principals, tell those who copy the model from others.

use bench_privacy::Goal;
use bench_privacy::digits::{CLASSES, Digits, FEATURES, Part};
use bench_privacy::gateway::Gateway;
use bench_privacy::logistic::Logistic;
use bench_privacy::random::Random;
use nalgebra::{DMatrix, DVector, RowDVector};
use privacy::{Calibration, Monitor, PrivacySecret, Projection, Reason, Trace, margin};

const QUERIES: usize = 400;
const RUNS: u64 = 200;
/// Honest principals that are tried: many, since hardly any may be flagged.
const HONEST_RUNS: u64 = 1000;
/// Honest principals that are learnt from.
const LEARNT_FROM: u64 = 60;
/// Queries of one request, where a gateway is asked.
const AT_ONCE: usize = 50;

struct Bench {
    victim: Logistic,
    /// What is learnt from, and what honest and dishonest principals of the test have.
    learn: Part,
    test: Part,
}

/// What a principal asks, a row each.
type Queries = DMatrix<f64>;

/// How they are made.
type Made<'m> = dyn Fn(&mut Random) -> Queries + 'm;

/// What a monitor thought of one principal.
struct Watched {
    /// The query at which suspicion was raised for the first time, and why.
    raised: Option<(usize, Reason)>,
    most: f64,
}

impl Bench {
    fn new() -> Self {
        let digits = Digits::load();
        let victim = Logistic::fit(&digits.train.inputs, &digits.train.one_hot(), 25.0);
        let inputs = DMatrix::from_rows(
            &digits.train.inputs.row_iter().chain(digits.held_out.inputs.row_iter()).collect::<Vec<_>>(),
        );
        let labels: Vec<usize> = digits.train.labels.into_iter().chain(digits.held_out.labels).collect();
        let half = inputs.nrows() / 2;
        let part = |from: usize, count: usize| Part {
            inputs: inputs.rows(from, count).into_owned(),
            labels: labels[from..from + count].to_vec(),
        };
        Self { victim, learn: part(0, half), test: part(half, inputs.nrows() - half) }
    }

    fn answers(&self, inputs: &Queries) -> DMatrix<f64> {
        let rows: Vec<RowDVector<f64>> = inputs
            .row_iter()
            .map(|row| {
                let row: Vec<f32> = row.iter().map(|value| *value as f32).collect();
                RowDVector::from_vec(self.victim.probabilities(&row))
            })
            .collect();
        DMatrix::from_rows(&rows)
    }

    /// Digits that one principal has: some classes more often than others, and no picture twice.
    fn honest(&self, part: &Part, random: &mut Random, count: usize) -> Queries {
        let weights: Vec<f64> = (0..CLASSES).map(|_| (0.7 * random.gaussian()).exp()).collect();
        let mut order: Vec<(f64, usize)> =
            part.labels.iter().enumerate().map(|(at, label)| (random.unit().ln() / weights[*label], at)).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut chosen: Vec<usize> = order.iter().take(count).map(|(_, at)| *at).collect();
        random.shuffle(&mut chosen);
        DMatrix::from_rows(&chosen.iter().map(|at| part.inputs.row(*at)).collect::<Vec<_>>())
    }

    /// Jacobian-based augmentation (Papernot et al. 2017): steps from a few honest queries along the signs of the slope
    /// of a copy, which learns after each round.
    fn jacobian(&self, random: &mut Random, step: f64) -> Queries {
        let mut asked = self.honest(&self.test, random, 50);
        while asked.nrows() < QUERIES {
            let copy = Logistic::fit(&asked, &self.answers(&asked), 1.0);
            let classes = copy.best(&asked);
            let mut moved = asked.clone();
            for (mut row, class) in moved.row_iter_mut().zip(classes) {
                row += copy.weights.column(class).rows(0, FEATURES).map(|slope| step * slope.signum()).transpose();
            }
            let rows: Vec<_> = asked.row_iter().chain(moved.row_iter()).take(QUERIES).collect();
            asked = DMatrix::from_rows(&rows);
        }
        asked
    }

    /// Between pairs of honest queries.
    fn between(&self, random: &mut Random) -> Queries {
        let (one, other) = (self.honest(&self.test, random, QUERIES), self.honest(&self.test, random, QUERIES));
        let parts = DVector::from_fn(QUERIES, |_, _| random.unit());
        let mut between = one;
        for ((mut row, other), part) in between.row_iter_mut().zip(other.row_iter()).zip(&parts) {
            row.zip_apply(&other, |value, other| *value = *value * part + other * (1.0 - part));
        }
        between
    }

    /// Each of 40 honest queries ten times, moved a little: averages noise away.
    fn averaging(&self, random: &mut Random) -> Queries {
        let few = self.honest(&self.test, random, 40);
        let rows: Vec<_> = (0..QUERIES).map(|at| few.row(at / 10)).collect();
        DMatrix::from_rows(&rows) + random.matrix(QUERIES, FEATURES) * 0.02
    }

    fn calibration(&self, projection: &Projection) -> Calibration {
        let traces: Vec<Trace> = (0..LEARNT_FROM)
            .map(|principal| {
                let queries = self.honest(&self.learn, &mut Random::new(10_000 + principal), QUERIES);
                let mut trace = Trace::new(projection);
                self.each(&queries, |query, margin| trace.record(query, margin));
                trace
            })
            .collect();
        Calibration::learn(&traces).unwrap()
    }

    fn each(&self, queries: &Queries, mut act: impl FnMut(&[f64], Option<f64>)) {
        for (query, answer) in queries.row_iter().zip(self.answers(queries).row_iter()) {
            let (query, answer): (Vec<f64>, Vec<f64>) =
                (query.iter().copied().collect(), answer.iter().copied().collect());
            act(&query, margin(&answer));
        }
    }

    fn watched(&self, calibration: &Calibration, queries: &Queries, margins: bool) -> Watched {
        let mut monitor = Monitor::new(calibration);
        let (mut watched, mut at) = (Watched { raised: None, most: 0.0 }, 0);
        self.each(queries, |query, margin| {
            at += 1;
            let suspicion = monitor.observe(query, margin.filter(|_| margins));
            watched.most = watched.most.max(suspicion.value());
            if suspicion.is_raised() && watched.raised.is_none() {
                watched.raised = suspicion.reason().map(|reason| (at, reason));
            }
        });
        watched
    }

    /// The share of so many runs, with or without margins, in which suspicion was raised.
    fn row(&self, name: &str, calibration: &Calibration, (count, margins): (u64, bool), made: &Made<'_>) -> f64 {
        let watch = |run| self.watched(calibration, &made(&mut Random::new(run)), margins);
        let runs: Vec<Watched> = (1..=count).map(watch).collect();
        let mut raised: Vec<(usize, Reason)> = runs.iter().filter_map(|run| run.raised).collect();
        raised.sort_by_key(|(at, _)| *at);
        let mut reasons: Vec<&str> = raised.iter().map(|(_, reason)| reason.as_str()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        let mut most: Vec<f64> = runs.iter().map(|run| run.most).collect();
        most.sort_by(f64::total_cmp);
        let share = raised.len() as f64 / count as f64;
        let at = raised.get(raised.len() / 2).map_or("-".to_owned(), |(at, _)| at.to_string());
        println!("| {name} | {share:.3} | {at} | {} | {:.2} |", reasons.join(", "), most[most.len() / 2]);
        share
    }
}

/// The gateway with a monitor that has learnt, and tells labels to who is suspected: so it is seen in answers.
struct Behind<'b> {
    bench: &'b Bench,
    gateway: Gateway,
    /// The key of the next principal.
    next: usize,
}

impl<'b> Behind<'b> {
    fn new(bench: &'b Bench) -> Self {
        let victim = bench.victim.clone();
        let models = [("digits".to_owned(), "monitor = { then = [\"labels\"] }".to_owned())];
        let keys = (LEARNT_FROM + 3 * RUNS) as usize;
        let gateway = Gateway::start(&models, keys, move |input| victim.probabilities(input));
        let mut behind = Self { bench, gateway, next: 0 };
        for principal in 0..LEARNT_FROM {
            behind.is_flagged(&bench.honest(&bench.learn, &mut Random::new(10_000 + principal), QUERIES));
        }
        behind.gateway.learn("digits");
        behind
    }

    /// Whether the next principal, who asks this and then the first of it again, got no more than labels in the end.
    fn is_flagged(&mut self, queries: &Queries) -> bool {
        let key = self.next;
        self.next += 1;
        let starts = (0..queries.nrows()).step_by(AT_ONCE).chain([0]);
        starts.fold(false, |_, from| {
            let rows = queries.rows(from, AT_ONCE).into_owned();
            self.gateway.answers("digits", key, &rows).iter().all(|score| *score == 0.0 || *score == 1.0)
        })
    }

    fn share(&mut self, name: &str, made: &Made<'_>) -> f64 {
        let flagged = (1..=RUNS).filter(|run| self.is_flagged(&made(&mut Random::new(*run)))).count();
        let share = flagged as f64 / RUNS as f64;
        println!("| {name} | {share:.3} |");
        share
    }

    fn goal(mut self) {
        let bench = self.bench;
        println!("\nthe same at a gateway, {AT_ONCE} queries a request\n\n| queries | flagged |\n|---|---|");
        let honest = self.share("honest", &|random| bench.honest(&bench.test, random, QUERIES));
        let jacobian = self.share("Jacobian, steps of 0.25", &|random| bench.jacobian(random, 0.25));
        let gaussian = self.share("Gaussian", &|random| random.matrix(QUERIES, FEATURES));
        goal("X5-gateway", [honest, jacobian, gaussian]);
    }
}

fn goal(id: &'static str, [honest, jacobian, gaussian]: [f64; 3]) {
    let mut goal = Goal::new(id);
    goal.at_most("honest flagged", honest, 0.01);
    goal.at_least("Jacobian flagged", jacobian, 0.95);
    goal.at_least("Gaussian flagged", gaussian, 0.95);
    goal.end();
}

pub(crate) fn run() {
    let bench = Bench::new();
    let projection = Projection::new(&PrivacySecret::from_bytes([5; 32]), "digits@1");
    let calibration = bench.calibration(&projection);
    println!(
        "\n{QUERIES} queries, {RUNS} runs, {HONEST_RUNS} honest ones, calibrated on {LEARNT_FROM} honest principals\n"
    );
    println!("| queries | flagged | first at, middle | reasons | most suspicion, middle |\n|---|---|---|---|---|");
    let row = |name: &str, made: &Made<'_>| bench.row(name, &calibration, (RUNS, true), made);
    let honest_row = |name: &str, queries: usize| {
        let made = |random: &mut Random| bench.honest(&bench.test, random, queries);
        bench.row(name, &calibration, (HONEST_RUNS, true), &made)
    };
    let half = |random: &mut Random| {
        let honest = bench.honest(&bench.test, random, QUERIES);
        DMatrix::from_fn(QUERIES, FEATURES, |row, at| if row % 2 == 0 { honest[(row, at)] } else { random.gaussian() })
    };
    let honest = honest_row("honest", QUERIES);
    honest_row("honest, 800 queries", 2 * QUERIES);
    let jacobian = row("Jacobian, steps of 0.25", &|random| bench.jacobian(random, 0.25));
    row("Jacobian, steps of 0.5", &|random| bench.jacobian(random, 0.5));
    let gaussian = row("Gaussian", &|random| random.matrix(QUERIES, FEATURES));
    row("every other one Gaussian", &half);
    row("between honest ones", &|random| bench.between(random));
    row("averaging", &|random| bench.averaging(random));
    let row = |name: &str, made: &Made<'_>| bench.row(name, &calibration, (RUNS, false), made);
    row("Jacobian, steps of 0.25, no margins", &|random| bench.jacobian(random, 0.25));
    row("Gaussian, no margins", &|random| random.matrix(QUERIES, FEATURES));
    goal("X5", [honest, jacobian, gaussian]);
    Behind::new(&bench).goal();
}
