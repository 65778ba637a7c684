//! The noisy vote.

use std::num::NonZeroUsize;

use privacy::dp::{Epsilon, Mechanism, Randomness, Receipt, ReleaseError, Rho};
use privacy::vote::{MAX_LABELS, NoVote, Vote};

fn vote(quorum: usize, epsilon: &str) -> Vote {
    let epsilon: Epsilon = epsilon.parse().unwrap();
    Vote::new(&["cat", "dog", "owl"], NonZeroUsize::new(quorum).unwrap(), epsilon).unwrap()
}

fn paid(vote: &Vote) -> Receipt {
    Receipt::of_reserved(vote.rho(), Rho::ZERO)
}

#[test]
fn labels_are_stated_once() {
    let new = |labels: &[&str]| Vote::new(labels, NonZeroUsize::MIN, "1".parse().unwrap());
    for labels in [&[] as &[&str], &["a"], &["a", "b", "a"]] {
        assert_eq!(new(labels), Err(NoVote::Labels), "{labels:?}");
    }
    let many: Vec<String> = (0..=MAX_LABELS).map(|number| number.to_string()).collect();
    assert_eq!(Vote::new(&many, NonZeroUsize::MIN, "1".parse().unwrap()), Err(NoVote::Labels));
    let vote = vote(1, "1");
    assert_eq!([vote.ballot("dog"), vote.ballot("Dog"), vote.ballot("")], [Some(1), None, None]);
    assert_eq!([vote.label(2), vote.label(3)], [Some("owl"), None]);
}

#[test]
fn a_vote_is_refused_below_its_quorum_or_its_price() {
    let (vote, mut random) = (vote(3, "1"), Randomness::danger_from_seed(1));
    for ballots in [&[] as &[Option<usize>], &[Some(0), Some(1), None], &[Some(0), Some(0), Some(3), Some(usize::MAX)]]
    {
        assert_eq!(vote.decide(ballots, paid(&vote), &mut random), Err(ReleaseError::Quorum), "{ballots:?}");
    }
    let unpaid = Receipt::of_reserved("0.124999999".parse().unwrap(), Rho::ZERO);
    assert_eq!(vote.decide(&[Some(0); 3], unpaid, &mut random), Err(ReleaseError::Underpaid));
    let release = vote.decide(&[Some(0); 3], paid(&vote), &mut random).unwrap();
    assert_eq!((release.mechanism, release.rho), (Mechanism::NoisyMax, "0.125".parse().unwrap()));
}

/// Against the exponential mechanism, computed here.
#[test]
fn labels_are_told_as_often_as_epsilon_says() {
    let (vote, mut random) = (vote(1, "1"), Randomness::danger_from_seed(2));
    let ballots = [vec![Some(0); 5], vec![Some(1); 3], vec![Some(2); 2], vec![None; 9]].concat();
    let mut told = [0_u32; 3];
    for _ in 0..40_000 {
        told[vote.decide(&ballots, paid(&vote), &mut random).unwrap().value] += 1;
    }
    let weights = [5.0, 3.0, 2.0].map(|votes: f64| (votes / 2.0).exp());
    for (told, weight) in told.iter().zip(weights) {
        let share = weight / weights.iter().sum::<f64>();
        // Five standard deviations.
        let off = (f64::from(*told) / 40_000.0 - share).abs();
        assert!(off < 5.0 * (share * (1.0 - share) / 40_000.0).sqrt(), "{off} {share}");
    }
    let sure = self::vote(1, "200");
    assert!((0..200).all(|_| sure.decide(&ballots, paid(&sure), &mut random).unwrap().value == 0));
}

#[test]
fn scores_are_a_ballot_for_the_best() {
    let vote = vote(2, "1");
    assert_eq!(vote.ballot_of(&[0.1, 0.7, 0.2]), Some(1));
    assert_eq!(vote.ballot_of(&[-3.0, -2.0, -2.0]), Some(1), "the first of several");
    for scores in [&[0.1, 0.9] as &[f64], &[0.1, 0.2, 0.3, 0.4], &[0.1, f64::NAN, 0.2], &[]] {
        assert_eq!(vote.ballot_of(scores), None, "{scores:?}");
    }
    assert_eq!(vote.quorum().get(), 2);
}
