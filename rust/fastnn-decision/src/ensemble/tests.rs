use super::*;

/// Two options that share three inputs in two groups, and one computed input for option 1 alone.
fn layout() -> Layout {
    let v = |group, stream, only, knots: &[f64], fits: &[&[f64]]| Variable {
        group,
        stream,
        weight: 0.5,
        only,
        log: false,
        knots: knots.to_vec(),
        fits: fits.iter().map(|f| f.to_vec()).collect(),
    };
    Layout::new(
        2,
        2,
        4,
        vec![
            v(0, 0, None, &[0.0, 1.0, 2.0], &[&[0.0, 0.8, 1.0], &[0.6, 0.5, 0.4]]),
            v(1, 1, None, &[-1.0, 1.0], &[&[0.2, 0.9], &[0.7, 0.3]]),
            v(0, 2, None, &[0.0, 0.5, 1.0], &[&[0.1, 0.2, 0.9], &[0.9, 0.3, 0.1]]),
            v(1, 3, Some(1), &[0.0, 1.0], &[&[0.0, 0.0], &[0.0, 1.0]]),
        ],
    )
    .unwrap()
}

fn marginal(kind: Kind, a: f64, b: f64, c: f64) -> Marginal {
    Marginal { kind, params: [a, b, c], low: -100.0, high: 100.0 }
}

fn marginals() -> Vec<Marginal> {
    vec![
        marginal(Kind::Normal, 0.9, 0.5, 0.0),
        marginal(Kind::Triangular, -1.0, 0.2, 1.5),
        Marginal { kind: Kind::Beta, params: [2.0, 2.0, 0.0], low: 0.0, high: 1.0 },
        marginal(Kind::Uniform, 0.1, 0.9, 0.0),
    ]
}

fn draws(len: usize, stream: u32, cholesky: Option<Vec<f64>>) -> Draws {
    let weights = Weights::Dirichlet { alphas: vec![20.0, 0.7], sum: 1.0 };
    Draws::new(&DrawSpec { len, seed: 7, stream, weights, streams: 4, cholesky }).unwrap()
}

/// Scores of one draw by the definition, in f64.
fn plain_scores(layout: &Layout, d: &Draws, m: &[Marginal], at: usize) -> [f64; 2] {
    let mut s = [0.0; 2];
    for (v, m) in layout.variables().iter().zip(m) {
        let x = m.at(f64::from(d.normals(at / BLOCK, v.stream)[at % BLOCK]));
        for (o, score) in s.iter_mut().enumerate() {
            *score += f64::from(d.weights(at / BLOCK, v.group)[at % BLOCK]) * v.fit(o, x);
        }
    }
    s
}

#[test]
fn scores_and_ranks_follow_the_definition() {
    let (layout, m, open) = (layout(), marginals(), [true, true]);
    for len in [1, 17, 1024, 1025, 5000] {
        let d = draws(len, 0, None);
        let wanted = Wanted { quantiles: vec![0.5], pins: vec![0.1, 0.9], variants: vec![] };
        let got = &score(&layout, &d, &[Profile { marginals: &m, open: &open }], &wanted).unwrap()[0];
        let (mut first, mut mean) = ([0_u32; 2], [0.0; 2]);
        for at in 0..len {
            let s = plain_scores(&layout, &d, &m, at);
            first[usize::from(s[1] > s[0])] += 1;
            (0..2).for_each(|o| mean[o] += s[o] / len as f64);
        }
        assert!(
            first[0].abs_diff(got.ranks[0]) <= 1 && first[1].abs_diff(got.ranks[2]) <= 1,
            "{first:?} {:?}",
            got.ranks
        );
        assert_eq!(got.ranks[0] + got.ranks[1], len as u32);
        (0..2).for_each(|o| assert!((mean[o] - got.mean[o]).abs() < 1e-5, "{mean:?} {:?}", got.mean));
        assert!(got.quantiles.iter().all(|q| (0.0..=1.0).contains(q)));
    }
}

#[test]
fn a_held_stream_equals_a_fixed_input() {
    let (layout, m, open) = (layout(), marginals(), [true, true]);
    let d = draws(4000, 3, None);
    let wanted = Wanted { quantiles: vec![], pins: vec![0.1, 0.9], variants: vec![] };
    let got = &score(&layout, &d, &[Profile { marginals: &m, open: &open }], &wanted).unwrap()[0];
    for stream in 0..4 {
        for (level, q) in [0.1, 0.9].into_iter().enumerate() {
            let mut fixed = m.clone();
            fixed[stream] = marginal(Kind::Fixed, m[stream].at(special::normal_quantile(q)), 0.0, 0.0);
            let other =
                &score(&layout, &d, &[Profile { marginals: &fixed, open: &open }], &Wanted::default())
                    .unwrap()[0];
            for o in 0..2 {
                let held = got.pinned[(stream * 2 + level) * 2 + o];
                assert!(held.abs_diff(other.ranks[o * 2]) <= 1, "stream {stream} level {q} option {o}");
            }
        }
    }
}

#[test]
fn variants_count_what_they_count_alone() {
    let (base, open, len) = (layout(), [true, true], 3001);
    let d = draws(len, 0, None);
    let other = d.reweighted(&Weights::Dirichlet { alphas: vec![1.0, 3.0], sum: 2.0 }).unwrap();
    let doubt = |group, stream, only| Variable {
        group,
        stream,
        weight: 1.0,
        only: Some(only),
        log: false,
        knots: vec![0.0, 1.0],
        fits: vec![vec![-0.1, 0.1]; 2],
    };
    let all = [base.variables(), &[doubt(1, 4, 0), doubt(0, 5, 1)]].concat();
    let (wide, longer) = (Layout::new(2, 2, 6, all).unwrap(), d.extended(6).unwrap());
    let mut m = marginals();
    m.extend([marginal(Kind::Uniform, 0.0, 1.0, 0.0); 2]);
    let scored = |layout: &Layout, draws: &Draws, wanted: &Wanted<'_>, marginals: &[Marginal]| {
        score(layout, draws, &[Profile { marginals, open: &open }], wanted).unwrap().remove(0)
    };
    let variants = vec![Variant { layout: &base, draws: &other }, Variant { layout: &wide, draws: &longer }];
    let wanted = Wanted { quantiles: vec![0.5], pins: vec![0.1], variants };
    let got = scored(&base, &d, &wanted, &m);
    let alone = scored(&base, &d, &Wanted { variants: vec![], ..wanted.clone() }, &m[..4]);
    assert_eq!(Summary { firsts: vec![], ..got.clone() }, alone);
    let firsts = |s: &Summary| [s.ranks[0], s.ranks[2]];
    assert_eq!(got.firsts[..2], firsts(&scored(&base, &other, &Wanted::default(), &m[..4])));
    let doubted = firsts(&scored(&wide, &longer, &Wanted::default(), &m));
    // Sums are taken in another order: a draw next to a tie may fall on the other side.
    assert!((0..2).all(|o| got.firsts[2 + o].abs_diff(doubted[o]) <= 1), "{got:?} {doubted:?}");
    assert!(doubted != firsts(&alone));
}

#[test]
fn a_variant_of_other_draws_is_refused() {
    let (layout, m, open) = (layout(), marginals(), [true, true]);
    let d = draws(100, 0, None);
    let refused = |layout: &Layout, draws: &Draws, scored: &Draws| {
        let variants = vec![Variant { layout, draws }];
        let wanted = Wanted { variants, ..Wanted::default() };
        score(&self::layout(), scored, &[Profile { marginals: &m, open: &open }], &wanted)
            .is_err_and(|e| e.to_string().contains("other draws"))
    };
    assert!(!refused(&layout, &d, &d));
    assert!(refused(&layout, &draws(100, 0, None), &d), "drawn again");
    assert!(refused(&layout, &d.extended(4).unwrap(), &d.extended(4).unwrap().extended(4).unwrap()));
    let mut variables = layout.variables().to_vec();
    variables[0].weight = 0.25;
    assert!(refused(&Layout::new(2, 2, 4, variables).unwrap(), &d, &d));
}

#[test]
fn results_do_not_depend_on_batch_or_threads() {
    let (layout, m, open) = (layout(), marginals(), [true, true]);
    let wanted = Wanted { quantiles: vec![0.05, 0.5, 0.95], pins: vec![0.1], variants: vec![] };
    let mut answers = Vec::new();
    for threads in [1, 2, 3] {
        pool::set_threads(threads);
        let d = draws(3001, 0, None);
        let one = score(&layout, &d, &[Profile { marginals: &m, open: &open }], &wanted).unwrap();
        let many = score(&layout, &d, &[Profile { marginals: &m, open: &open }; 40], &wanted).unwrap();
        assert!(many.iter().all(|s| *s == one[0]));
        answers.push(one);
    }
    assert!(answers.iter().all(|a| *a == answers[0]));
}

#[test]
fn ties_are_shared_and_closed_options_come_last() {
    let same = Variable {
        group: 0,
        stream: 0,
        weight: 1.0,
        only: None,
        log: false,
        knots: vec![0.0, 1.0],
        fits: vec![vec![0.0, 1.0]; 3],
    };
    let layout = Layout::new(3, 1, 1, vec![same]).unwrap();
    let spec = DrawSpec {
        len: 3000,
        seed: 1,
        stream: 0,
        weights: Weights::Fixed(vec![1.0]),
        streams: 1,
        cholesky: None,
    };
    let d = Draws::new(&spec).unwrap();
    let m = [marginal(Kind::Uniform, 0.0, 1.0, 0.0)];
    let all =
        &score(&layout, &d, &[Profile { marginals: &m, open: &[true; 3] }], &Wanted::default()).unwrap()[0];
    assert_eq!(all.ranks, vec![1000; 9]);
    let two =
        &score(&layout, &d, &[Profile { marginals: &m, open: &[false, true, true] }], &Wanted::default())
            .unwrap()[0];
    assert_eq!(two.ranks[2], 3000);
    assert_eq!([two.ranks[3], two.ranks[6]], [1500, 1500]);
    assert!((all.mean[0] - 0.5).abs() < 0.02 && all.mean == two.mean);
}

/// Options with a constant score each, on one stream, over `draws` draws.
fn constant_scores(scores: &[f64], draws: usize) -> Summary {
    let steady = Variable {
        group: 0,
        stream: 0,
        weight: 1.0,
        only: None,
        log: false,
        knots: vec![0.0],
        fits: scores.iter().map(|s| vec![*s]).collect(),
    };
    let layout = Layout::new(scores.len(), 1, 1, vec![steady]).unwrap();
    let weights = Weights::Fixed(vec![1.0]);
    let spec = DrawSpec { len: draws, seed: 1, stream: 0, weights, streams: 1, cholesky: None };
    let m = [marginal(Kind::Uniform, 0.0, 1.0, 0.0)];
    let open = vec![true; scores.len()];
    let profile = Profile { marginals: &m, open: &open };
    score(&layout, &Draws::new(&spec).unwrap(), &[profile], &Wanted::default()).unwrap().remove(0)
}

#[test]
fn exact_ties_are_shared_by_the_tied_alone() {
    for scores in [
        &[0.5, 0.5, 0.2][..],
        &[0.5, 0.2, 0.5],
        &[0.2, 0.5, 0.5],
        &[0.9, 0.5, 0.5],
        &[0.5, 0.1, 0.5, 0.5, 0.9],
        &[0.3, 0.3, 0.7, 0.7, 0.7],
        &[0.4, 0.1, 0.4, 0.8, 0.4, 0.8, 0.4, 0.1],
    ] {
        // 2, 3 and 4 divide 2,400, which is not a whole number of blocks.
        let got = constant_scores(scores, 2400);
        let o = scores.len();
        for i in 0..o {
            let ahead = scores.iter().filter(|s| **s > scores[i]).count();
            let tied = scores.iter().filter(|s| **s == scores[i]).count();
            for rank in 0..o {
                let share = if (ahead..ahead + tied).contains(&rank) { 2400 / tied as u32 } else { 0 };
                assert_eq!(got.ranks[i * o + rank], share, "{scores:?}: option {i}, rank {rank}");
            }
        }
    }
}

#[test]
fn draws_have_the_asked_moments() {
    let rho = 0.6_f64;
    let mut l = vec![0.0; 16];
    (0..4).for_each(|i| l[i * 5] = 1.0);
    l[4] = rho;
    l[5] = (1.0 - rho * rho).sqrt();
    let n = 40_000;
    let d = draws(n, 0, Some(l));
    let mean = |x: &[f32]| x[..n].iter().map(|v| f64::from(*v)).sum::<f64>() / n as f64;
    let product =
        |a: &[f32], b: &[f32]| (0..n).map(|i| f64::from(a[i]) * f64::from(b[i])).sum::<f64>() / n as f64;
    assert!(mean(&d.all_normals(0)).abs() < 0.02 && mean(&d.all_normals(1)).abs() < 0.02);
    assert!((product(&d.all_normals(0), &d.all_normals(1)) - rho).abs() < 0.02);
    assert!((mean(&d.all_uniforms(1)) - 0.5).abs() < 0.01);
    // Dirichlet(20, 0.7): mean 20 / 20.7, variance m (1 - m) / 21.7.
    let m = 20.0 / 20.7;
    assert!((mean(&d.all_weights(0)) - m).abs() < 0.002);
    assert!(
        (product(&d.all_weights(0), &d.all_weights(0))
            - mean(&d.all_weights(0)).powi(2)
            - m * (1.0 - m) / 21.7)
            .abs()
            < 2e-4
    );
    let (one, two) = (d.all_weights(0), d.all_weights(1));
    assert!((0..n).all(|i| (one[i] + two[i] - 1.0).abs() < 1e-6));
}

#[test]
fn extended_draws_are_those_made_with_all_streams() {
    // The last of four streams joins the first; two more and, at any place within a group of four
    // words, further ones are independent.
    let l = [1.0, 0.0, 0.0, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.8, 0.0, 0.0, 0.6].to_vec();
    let base = draws(3000, 5, Some(l.clone()));
    for streams in [4, 5, 6, 11] {
        let mut whole = vec![0.0; streams * streams];
        (0..streams).for_each(|s| whole[s * streams + s] = 1.0);
        (0..4).for_each(|s| whole[s * streams..][..4].copy_from_slice(&l[s * 4..][..4]));
        let weights = Weights::Dirichlet { alphas: vec![20.0, 0.7], sum: 1.0 };
        let spec = DrawSpec { len: 3000, seed: 7, stream: 5, weights, streams, cholesky: Some(whole) };
        let (made, again) = (Draws::new(&spec).unwrap(), base.extended(streams).unwrap());
        assert_eq!(again.streams(), streams);
        assert!((0..2).all(|g| made.all_weights(g) == again.all_weights(g)));
        assert!((0..streams).all(|s| made.all_normals(s) == again.all_normals(s)));
        assert!((0..streams).all(|s| made.all_uniforms(s) == again.all_uniforms(s)));
    }
    assert!(base.extended(3).is_err());
}

#[test]
fn a_stream_of_uniforms_alone_takes_no_normal_input() {
    let first = Draws::new(&DrawSpec {
        len: 2000,
        seed: 7,
        stream: 0,
        weights: Weights::Fixed(vec![0.4, 0.6]),
        streams: 3,
        cholesky: None,
    })
    .unwrap();
    let (layout, mut m, open) = (layout(), marginals(), [true, true]);
    let wanted = Wanted { quantiles: vec![0.5], pins: vec![0.1], variants: vec![] };
    let run =
        |d: &Draws, m: &[Marginal]| score(&layout, d, &[Profile { marginals: m, open: &open }], &wanted);
    let whole = Draws::new(&DrawSpec {
        len: 2000,
        seed: 7,
        stream: 0,
        weights: Weights::Fixed(vec![0.4, 0.6]),
        streams: 4,
        cholesky: None,
    })
    .unwrap();
    let again = first.extended(4).unwrap();
    assert_eq!(run(&whole, &m).unwrap(), run(&again, &m).unwrap());
    let effects =
        |a: &Draws| total_effects(&layout, a, &whole, Profile { marginals: &m, open: &open }).unwrap();
    assert_eq!(effects(&whole), effects(&again));
    m[3] = marginal(Kind::Normal, 0.5, 0.1, 0.0);
    assert!(run(&whole, &m).is_ok());
    assert!(run(&again, &m).unwrap_err().to_string().contains("uniforms alone"));
}

#[test]
fn reweighted_draws_are_those_made_with_the_weights() {
    let l = [1.0, 0.0, 0.0, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0].to_vec();
    let weights = Weights::Dirichlet { alphas: vec![1.0, 3.0], sum: 2.0 };
    let spec = DrawSpec { len: 3000, seed: 7, stream: 5, weights, streams: 4, cholesky: Some(l.clone()) };
    let (made, again) =
        (Draws::new(&spec).unwrap(), draws(3000, 5, Some(l)).reweighted(&spec.weights).unwrap());
    assert!((0..2).all(|g| made.all_weights(g) == again.all_weights(g)));
    assert!((0..4).all(|s| made.all_normals(s) == again.all_normals(s)));
    assert!((0..4).all(|s| made.all_uniforms(s) == again.all_uniforms(s)));
    assert!(made.reweighted(&Weights::Fixed(vec![])).is_err());
}

#[test]
fn total_effects_of_a_linear_score_are_its_variance_shares() {
    let v = |stream, gain: f64| Variable {
        group: 0,
        stream,
        weight: 1.0,
        only: None,
        log: false,
        knots: vec![-50.0, 50.0],
        fits: vec![vec![-50.0 * gain, 50.0 * gain]],
    };
    let layout = Layout::new(1, 1, 2, vec![v(0, 1.0), v(1, 2.0)]).unwrap();
    let spec = |stream| DrawSpec {
        len: 50_000,
        seed: 5,
        stream,
        weights: Weights::Fixed(vec![1.0]),
        streams: 2,
        cholesky: None,
    };
    let (a, b) = (Draws::new(&spec(0)).unwrap(), Draws::new(&spec(1)).unwrap());
    let m = [marginal(Kind::Normal, 0.0, 1.0, 0.0), marginal(Kind::Normal, 0.0, 1.0, 0.0)];
    let t = total_effects(&layout, &a, &b, Profile { marginals: &m, open: &[true] }).unwrap();
    assert!((t[0] - 0.2).abs() < 0.02 && (t[1] - 0.8).abs() < 0.02 && t[2] == 0.0, "{t:?}");
}

#[test]
fn special_functions_meet_known_values() {
    use special::{beta_quantile, ln_gamma, normal_cdf, normal_quantile};
    assert!((normal_quantile(0.975) - 1.959_963_984_540_054).abs() < 1e-14);
    assert!((normal_quantile(1e-10) + 6.361_340_902_404_056).abs() < 1e-12);
    assert!((normal_cdf(1.0) - 0.841_344_746_068_543).abs() < 1e-14);
    assert!((ln_gamma(10.0) - 362_880.0_f64.ln()).abs() < 1e-12);
    // Beta(2, 2): F(x) = 3 x^2 - 2 x^3.
    for x in [1e-4, 0.1, 0.5, 0.93] {
        let u = 3.0 * x * x - 2.0 * x * x * x;
        assert!((beta_quantile(u, 2.0, 2.0) - x).abs() < 1e-11, "{x}");
    }
    assert!((beta_quantile(0.25, 0.5, 0.5) - (std::f64::consts::PI / 8.0).sin().powi(2)).abs() < 1e-11);
}

#[test]
fn bad_input_is_refused_with_its_place() {
    let (layout, open) = (layout(), [true, true]);
    let d = draws(10, 0, None);
    let mut m = marginals();
    m[2].params[0] = f64::NAN;
    let e = score(&layout, &d, &[Profile { marginals: &m, open: &open }], &Wanted::default()).unwrap_err();
    assert!(e.to_string().contains("profile 0: variable 2"), "{e}");
    let bad = |w| {
        Draws::new(&DrawSpec { len: 4, seed: 0, stream: 0, weights: w, streams: 1, cholesky: None }).is_err()
    };
    assert!(bad(Weights::Dirichlet { alphas: vec![1.0, 0.0], sum: 1.0 }));
    assert!(bad(Weights::Fixed(vec![])));
    assert!(Layout::new(9, 1, 1, vec![]).is_err());
    let huge = DrawSpec {
        len: usize::MAX / 2,
        seed: 0,
        stream: 0,
        weights: Weights::Fixed(vec![1.0]),
        streams: 1,
        cholesky: None,
    };
    assert!(matches!(Draws::new(&huge), Err(Error::Memory(_))));
}
