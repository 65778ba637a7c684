//! Whether monitors tell honest principals from others, and what of them is stored.

use std::sync::LazyLock;

use privacy::{
    Calibration, CalibrationError, Monitor, PrivacySecret, Projection, Reason, StateError, Suspicion, Trace, margin,
};
use proptest::prelude::*;

const DIMS: usize = 24;
const QUERIES: usize = 300;

/// Random numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let a = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let b = (a ^ a >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((b ^ b >> 31) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn gaussian(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    fn point(&mut self, spread: f64) -> Vec<f64> {
        (0..DIMS).map(|_| spread * self.gaussian()).collect()
    }
}

/// A query and the margin of its answer.
pub(crate) type Query = (Vec<f64>, Option<f64>);

/// Points around five centres that are the same for all, some centres more often; most answers are clear.
pub(crate) fn honest(seed: u64) -> Vec<Query> {
    let centres: Vec<Vec<f64>> = (0..5).map(|centre| Random(centre).point(2.0)).collect();
    let mut random = Random(1000 + seed);
    let weights: Vec<f64> = (0..5).map(|_| 0.5 + random.unit()).collect();
    let mut query = || {
        let mut choice = random.unit() * weights.iter().sum::<f64>();
        let at = weights.iter().position(|weight| {
            choice -= weight;
            choice < 0.0
        });
        let near = random.point(0.5);
        let query = centres[at.unwrap_or(0)].iter().zip(near).map(|(centre, near)| centre + near).collect();
        (query, Some(1.0 - 0.3 * random.unit().powi(2)))
    };
    (0..QUERIES).map(|_| query()).collect()
}

pub(crate) fn gaussian(seed: u64) -> Vec<Query> {
    let mut random = Random(5000 + seed);
    (0..QUERIES).map(|_| (random.point(2.0), None)).collect()
}

/// Small steps from a few honest queries, and from those again.
fn steps(seed: u64) -> Vec<Query> {
    let mut random = Random(9000 + seed);
    let mut queries: Vec<Query> = honest(seed).into_iter().take(30).collect();
    while queries.len() < QUERIES {
        let at = (random.unit() * queries.len() as f64) as usize;
        let moved = queries[at].0.iter().map(|value| value + 0.15 * (random.unit() - 0.5).signum()).collect();
        queries.push((moved, None));
    }
    queries
}

pub(crate) fn projection() -> Projection {
    Projection::new(&PrivacySecret::from_bytes([3; 32]), "m@1")
}

fn trace(projection: &Projection, queries: &[Query]) -> Trace {
    let mut trace = Trace::new(projection);
    queries.iter().for_each(|(query, margin)| trace.record(query, *margin));
    trace
}

fn learnt(seeds: std::ops::Range<u64>) -> Calibration {
    let projection = projection();
    let traces: Vec<Trace> = seeds.map(|seed| trace(&projection, &honest(seed)[..140])).collect();
    Calibration::learn(&traces).unwrap()
}

fn calibration() -> Calibration {
    static ONCE: LazyLock<Calibration> = LazyLock::new(|| learnt(0..24));
    ONCE.clone()
}

fn watched<'q>(calibration: &Calibration, queries: impl IntoIterator<Item = &'q Query>) -> (Monitor, Vec<Suspicion>) {
    let mut monitor = Monitor::new(calibration);
    let observed = queries.into_iter().map(|(query, margin)| monitor.observe(query, *margin)).collect();
    (monitor, observed)
}

fn first_raised(calibration: &Calibration, queries: &[Query]) -> Option<Reason> {
    let (_, observed) = watched(calibration, queries);
    observed.iter().find(|suspicion| suspicion.is_raised()).and_then(Suspicion::reason)
}

#[test]
fn honest_principals_are_not_suspected() {
    let calibration = calibration();
    for seed in 100..110 {
        assert_eq!(first_raised(&calibration, &honest(seed)), None, "{seed}");
    }
}

#[test]
fn small_steps_lie_too_near() {
    let calibration = calibration();
    for seed in 0..4 {
        let (_, observed) = watched(&calibration, &steps(seed));
        let last = observed.last().unwrap();
        assert!(last.is_raised(), "{seed} {last:?}");
        assert!(matches!(last.reason(), Some(Reason::Near | Reason::Repeats)), "{seed} {last:?}");
    }
}

#[test]
fn random_queries_lie_too_far() {
    let calibration = calibration();
    for seed in 0..4 {
        let reason = first_raised(&calibration, &gaussian(seed));
        assert!(matches!(reason, Some(Reason::Far | Reason::Coverage)), "{seed} {reason:?}");
    }
}

#[test]
fn a_long_honest_past_hides_nothing() {
    let calibration = calibration();
    let past: Vec<Query> = (200..206).flat_map(honest).collect();
    let (monitor, observed) = watched(&calibration, &past);
    assert!(observed.iter().all(|suspicion| !suspicion.is_raised()));
    let mut monitor = monitor;
    let raised = (0..2).flat_map(gaussian).any(|(query, margin)| monitor.observe(&query, margin).is_raised());
    assert!(raised);
    assert!(monitor.to_bytes().len() <= 33 * 1024, "and memory is bounded");
}

#[test]
fn answers_close_to_a_boundary_are_seen() {
    let mut queries = honest(7);
    queries.iter_mut().for_each(|(_, margin)| *margin = Some(0.05));
    assert_eq!(first_raised(&calibration(), &queries), Some(Reason::Boundary));
}

#[test]
fn repeats_are_counted_apart() {
    let calibration = calibration();
    let some = honest(8);
    let twice: Vec<&Query> = some.iter().take(100).chain(some.iter().take(20)).collect();
    let (_, observed) = watched(&calibration, twice);
    assert!(observed.iter().all(|suspicion| !suspicion.is_raised()), "a few are honest");
    let again: Vec<Query> = (0..QUERIES).map(|at| some[at % 40].clone()).collect();
    assert_eq!(first_raised(&calibration, &again), Some(Reason::Repeats));
}

#[test]
fn a_health_check_is_no_suspect_and_moved_copies_are() {
    let calibration = calibration();
    let few = honest(9);
    let check = |at: usize| (few[at % 20].0.clone(), Some(0.01));
    let (mut monitor, observed) = watched(&calibration, &(0..600).map(check).collect::<Vec<_>>());
    assert!(observed.iter().all(|suspicion| suspicion.value() == 0.0), "the same few, close to a boundary");
    let mut random = Random(77);
    let mut copy = |at: usize| few[at % 20].0.iter().map(|value| value + 0.001 * random.gaussian()).collect::<Vec<_>>();
    let last = (0..200).map(|at| monitor.observe(&copy(at), None)).last().unwrap();
    assert!(last.is_raised() && last.reason() == Some(Reason::Repeats), "{last:?}");
}

#[test]
fn there_is_no_suspicion_without_queries() {
    let calibration = calibration();
    let (monitor, observed) = watched(&calibration, gaussian(1).iter().take(31));
    assert!(observed.iter().all(|suspicion| suspicion.value() == 0.0 && suspicion.reason().is_none()));
    assert_eq!(monitor.suspicion(), *observed.last().unwrap());
}

#[test]
fn replicas_see_together_what_each_sees_half_of() {
    let calibration = calibration();
    let queries = gaussian(3);
    let halves: [Vec<Query>; 2] = [0, 1].map(|half| queries.iter().skip(half).step_by(2).take(25).cloned().collect());
    let [(mut one, _), (other, _)] = halves.map(|half| watched(&calibration, &half));
    assert!(!one.suspicion().is_raised() && !other.suspicion().is_raised(), "neither has seen enough");
    one.merge(&other);
    assert!(one.suspicion().is_raised(), "{:?}", one.suspicion());
}

#[test]
fn a_monitor_of_another_calibration_adds_nothing() {
    let (first, second) = (calibration(), learnt(50..74));
    let (mut one, _) = watched(&first, &honest(1));
    let before = one.to_bytes();
    one.merge(&watched(&second, &gaussian(1)).0);
    assert_eq!(one.to_bytes(), before);
    assert_eq!(Monitor::from_bytes(&second, &before).unwrap_err(), StateError::Foreign);
}

#[test]
fn states_come_back_as_they_were() {
    let calibration = calibration();
    let again = Calibration::from_bytes(&projection(), &calibration.to_bytes()).unwrap();
    let (mut monitor, _) = watched(&calibration, &honest(1));
    let mut stored = Monitor::from_bytes(&again, &monitor.to_bytes()).unwrap();
    for (query, margin) in gaussian(2) {
        assert_eq!(monitor.observe(&query, margin), stored.observe(&query, margin));
    }
    let other = Projection::new(&PrivacySecret::from_bytes([4; 32]), "m@1");
    assert_eq!(Calibration::from_bytes(&other, &calibration.to_bytes()).unwrap_err(), StateError::Foreign);
    let mut bytes = calibration.to_bytes();
    bytes[0] = 2;
    assert_eq!(Calibration::from_bytes(&projection(), &bytes).unwrap_err(), StateError::Version);
    assert_eq!(Calibration::from_bytes(&projection(), &[]).unwrap_err(), StateError::Version);
    let recorded = trace(&projection(), &[honest(1), gaussian(1)].concat());
    assert!(recorded.len() == 512 && recorded.to_bytes().len() <= 71 * 1024);
    let stored = Trace::from_bytes(&projection(), &recorded.to_bytes()).unwrap();
    assert_eq!(stored.to_bytes(), recorded.to_bytes());
    assert_eq!(Trace::from_bytes(&other, &recorded.to_bytes()).unwrap_err(), StateError::Foreign);
    assert_eq!(Trace::from_bytes(&projection(), &monitor.to_bytes()).unwrap_err(), StateError::Foreign);
}

#[test]
fn too_little_is_not_learnt_from() {
    let projection = projection();
    let learn = |traces: &[Trace]| Calibration::learn(traces).unwrap_err();
    let one = trace(&projection, &honest(1));
    let too_few = CalibrationError::TooFew { found: 19, queries: 64, least: 20 };
    assert_eq!(learn(&vec![one.clone(); 19]), too_few);
    let short = trace(&projection, &honest(1)[..63]);
    assert_eq!((short.len(), short.is_empty()), (63, false));
    let mut all = vec![one; 19];
    all.push(short);
    assert_eq!(learn(&all), too_few, "a short one does not count");
    let same: Vec<Query> = vec![(vec![1.0; DIMS], None); 64];
    assert_eq!(trace(&projection, &same).len(), 1, "a health check teaches nothing");
    let all_but: Vec<Query> = (0..64).map(|at| (vec![1e-30 * f64::from(at); DIMS], None)).collect();
    assert_eq!(learn(&vec![trace(&projection, &all_but); 20]), CalibrationError::NoDistance);
    let mut mixed = vec![trace(&projection, &honest(1)); 20];
    mixed.push(trace(&Projection::new(&PrivacySecret::from_bytes([3; 32]), "m@2"), &honest(1)));
    assert_eq!(learn(&mixed), CalibrationError::Mixed);
}

#[test]
fn a_margin_is_between_the_best_two() {
    assert_eq!(margin(&[0.25, 0.5, 0.25]), Some(0.25));
    assert_eq!(margin(&[1.0, -1.0]), Some(2.0));
    assert_eq!(margin(&[0.5, 0.5]), Some(0.0));
    for none in [&[][..], &[0.7], &[f64::NAN, 0.5], &[f64::INFINITY, 0.5]] {
        assert_eq!(margin(none), None, "{none:?}");
    }
}

fn any_queries() -> impl Strategy<Value = Vec<Query>> {
    let number = prop::num::f64::ANY;
    prop::collection::vec((prop::collection::vec(number, 0..40), prop::option::of(number)), 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_states_are_refused_or_harmless(at in 0..100_000_usize, to in any::<u8>(), cut in 0..10_000_usize) {
        let calibration = calibration();
        let whole = watched(&calibration, honest(1).iter().take(60)).0.to_bytes();
        let cut = &whole[..cut.min(whole.len() - 1)];
        prop_assert!(Monitor::from_bytes(&calibration, cut).is_err());
        let mut longer = whole.clone();
        longer.push(0);
        prop_assert_eq!(Monitor::from_bytes(&calibration, &longer).unwrap_err(), StateError::Damaged);
        let mut changed = whole.clone();
        changed[at % whole.len()] = to;
        if let Ok(mut monitor) = Monitor::from_bytes(&calibration, &changed) {
            let suspicion = monitor.observe(&[1.0; DIMS], Some(0.5));
            prop_assert!((0.0..=1.0).contains(&suspicion.value()));
        }
        let whole = trace(&projection(), &honest(2)[..70]).to_bytes();
        prop_assert!(Trace::from_bytes(&projection(), &whole[..cut.len().min(whole.len() - 1)]).is_err());
        let mut changed = whole.clone();
        changed[at % whole.len()] = to;
        if let Ok(mut trace) = Trace::from_bytes(&projection(), &changed) {
            trace.record(&[1.0; DIMS], Some(0.5));
            prop_assert!(Calibration::learn(&vec![trace; 20]).is_ok());
        }
        let mut changed = calibration.to_bytes();
        let place = at % changed.len();
        changed[place] = to;
        if let Ok(calibration) = Calibration::from_bytes(&projection(), &changed) {
            let (_, observed) = watched(&calibration, honest(1).iter().take(50));
            prop_assert!(observed.iter().all(|suspicion| (0.0..=1.0).contains(&suspicion.value())));
        }
    }

    #[test]
    fn any_query_is_taken(queries in any_queries()) {
        let calibration = calibration();
        let (monitor, observed) = watched(&calibration, &queries);
        prop_assert!(observed.iter().all(|suspicion| (0.0..=1.0).contains(&suspicion.value())), "{observed:?}");
        prop_assert!(Monitor::from_bytes(&calibration, &monitor.to_bytes()).is_ok());
    }
}
