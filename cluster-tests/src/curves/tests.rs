//! The positions of a chart's points and names, and the form of its numbers.

use super::*;

fn curves(logarithmic: bool, series: Vec<Series>) -> String {
    let (across, up) =
        (Axis { title: "clients", logarithmic: true }, Axis { title: "answers/s", logarithmic });
    Curves { title: "a < b".into(), across, up, series }.to_svg()
}

fn series(name: &str, points: &[[f64; 2]]) -> Series {
    Series { name: name.into(), points: points.to_vec() }
}

#[test]
fn a_point_is_where_its_values_are() {
    let svg = curves(false, vec![series("one", &[[1.0, 0.0], [10.0, 2000.0], [100.0, 4000.0]])]);
    assert!(svg.contains("M80.0 390.0L400.0 220.0L720.0 50.0"), "{svg}");
    assert!(svg.contains(">4k</text>") && svg.contains("a &lt; b"), "{svg}");
    let svg = curves(true, vec![series("one", &[[1.0, 1.0], [100.0, 100.0]]), series("two", &[[1.0, 10.0]])]);
    assert!(svg.contains("M80.0 390.0L720.0 50.0") && svg.contains("M80.0 220.0\""), "{svg}");
}

#[test]
fn names_that_end_at_one_place_are_below_each_other() {
    let svg = curves(false, vec![series("one", &[[1.0, 4.0]]), series("two", &[[1.0, 4.0]])]);
    assert!(svg.contains("y=\"54.0\"") && svg.contains("y=\"68.0\""), "{svg}");
    let svg = curves(false, vec![series("one", &[[1.0, 0.0]]), series("two", &[[1.0, 0.0], [2.0, 0.0]])]);
    assert!(svg.contains("y=\"380.0\"") && svg.contains("y=\"394.0\""), "not below the axis: {svg}");
}

#[test]
fn without_points_no_number_is_none() {
    for logarithmic in [false, true] {
        let svg = curves(logarithmic, vec![]) + &curves(logarithmic, vec![series("x", &[[1.0, 0.0]])]);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}

#[test]
fn numbers_are_short() {
    let texts = [0.25, 4.0, 1500.0, 10_000_000.0, 0.0].map(short);
    assert_eq!(texts, ["0.25", "4", "1.5k", "10M", "0"]);
}
