//! Partitions of every shape, lost packets and broken connections, all between nodes: clients
//! always reach every node, also one that is cut off, and must get no false answers from it.

use super::{Draw, Fault, Target, names};
use crate::RigError;
use crate::nemesis::fabric::{Hears, Laid};
use crate::nemesis::site::Site;

/// Rules for the packets between nodes, in force for a while.
struct Packets {
    shape: Shape,
    detail: String,
    laid: Option<Laid>,
}

enum Shape {
    /// Pairs (receiver, sender) whose packets are dropped.
    Deaf(Vec<(usize, usize)>),
    /// The packets to and from this node are dropped.
    Isolated(Target),
    /// This many per cent of all packets between nodes are lost.
    Lossy(u32),
    /// Packets from others to this node are answered with resets, and all its connections break.
    Reset(Target),
}

fn fault(shape: Shape, detail: String) -> Box<dyn Fault> {
    Box::new(Packets { shape, detail, laid: None })
}

/// One node does not receive from another, or from none of the others, or none receives from it.
pub(super) fn one_way(draw: &mut Draw) -> Box<dyn Fault> {
    let order = draw.order();
    let (first, rest) = order.split_first().map_or((0, &[][..]), |(first, rest)| (*first, rest));
    let (pairs, detail) = match draw.between(0, 2) {
        0 => (rest.iter().map(|other| (first, *other)).collect(), format!("node {} is deaf", first + 1)),
        1 => (rest.iter().map(|other| (*other, first)).collect(), format!("node {} is mute", first + 1)),
        _ => {
            let other = rest.first().copied().unwrap_or(first);
            (vec![(first, other)], format!("node {} does not hear node {}", first + 1, other + 1))
        }
    };
    fault(Shape::Deaf(pairs), detail)
}

pub(super) fn isolate_leader(draw: &mut Draw) -> Box<dyn Fault> {
    let node = draw.node();
    fault(Shape::Isolated(Target::Leader(node)), String::new())
}

pub(super) fn isolate_node(draw: &mut Draw) -> Box<dyn Fault> {
    let node = draw.node();
    fault(Shape::Isolated(Target::Node(node)), String::new())
}

/// A partition into a minority and a majority.
pub(super) fn halves(draw: &mut Draw) -> Box<dyn Fault> {
    let order = draw.order();
    let few = order.iter().take(order.len().saturating_sub(1) / 2);
    let few: Vec<usize> = few.copied().collect();
    let many: Vec<usize> = order.iter().filter(|node| !few.contains(node)).copied().collect();
    fault(Shape::Deaf(apart(&few, &many)), format!("{} from {}", names(&few), names(&many)))
}

/// Each node reaches its neighbours on a ring: every node sees a majority, and no two the same one.
pub(super) fn majority_ring(draw: &mut Draw) -> Box<dyn Fault> {
    let order = draw.order();
    let reach = order.len() / 4 + usize::from(order.len() < 4);
    let mut pairs = Vec::new();
    for (at, node) in order.iter().enumerate() {
        for (other_at, other) in order.iter().enumerate() {
            let distance = at.abs_diff(other_at);
            if distance.min(order.len() - distance) > reach {
                pairs.push((*node, *other));
            }
        }
    }
    fault(Shape::Deaf(pairs), names(&order))
}

/// Two halves that cannot reach each other, and one node that reaches both.
pub(super) fn bridge(draw: &mut Draw) -> Box<dyn Fault> {
    let order = draw.order();
    let (left, rest) = order.split_at(order.len() / 2);
    let (middle, right) = rest.split_at(usize::from(!rest.is_empty()));
    let detail = format!("{} from {}, over {}", names(left), names(right), names(middle));
    fault(Shape::Deaf(apart(left, right)), detail)
}

pub(super) fn loss(draw: &mut Draw) -> Box<dyn Fault> {
    let percent = draw.between(3, 25);
    fault(Shape::Lossy(percent), format!("{percent} % of all packets"))
}

pub(super) fn resets(draw: &mut Draw) -> Box<dyn Fault> {
    let (node, leader) = (draw.node(), draw.coin());
    let target = if leader { Target::Leader(node) } else { Target::Node(node) };
    fault(Shape::Reset(target), String::new())
}

/// All pairs across the two sides.
fn apart(some: &[usize], others: &[usize]) -> Vec<(usize, usize)> {
    some.iter().flat_map(|one| others.iter().flat_map(|other| [(*one, *other), (*other, *one)])).collect()
}

impl Fault for Packets {
    fn detail(&self) -> String {
        self.detail.clone()
    }

    fn inject(&mut self, site: &mut Site) -> Result<(), RigError> {
        let all: Vec<usize> = (0..site.len()).collect();
        let but =
            |node: usize| -> Vec<usize> { all.iter().filter(|other| **other != node).copied().collect() };
        let rules = match &self.shape {
            Shape::Deaf(pairs) => pairs.iter().map(|(who, whom)| (*who, Hears::NothingFrom(*whom))).collect(),
            Shape::Isolated(target) => {
                let alone = target.resolve(site);
                self.detail = names(&alone);
                let pairs = alone.iter().flat_map(|node| apart(&[*node], &but(*node)));
                pairs.map(|(who, whom)| (who, Hears::NothingFrom(whom))).collect()
            }
            Shape::Lossy(percent) => {
                let pairs = all.iter().flat_map(|node| but(*node).into_iter().map(|other| (*node, other)));
                pairs.map(|(who, whom)| (who, Hears::LossyFrom(whom, *percent))).collect()
            }
            Shape::Reset(target) => {
                let hit = target.resolve(site);
                self.detail = names(&hit);
                hit.iter().try_for_each(|node| site.fabric.reset_connections(*node))?;
                let pairs = hit.iter().flat_map(|node| but(*node).into_iter().map(|other| (*node, other)));
                pairs.map(|(who, whom)| (who, Hears::ResetsFrom(whom))).collect()
            }
        };
        self.laid = Some(site.fabric.lay(rules)?);
        Ok(())
    }

    fn heal(&mut self, site: &mut Site) -> Result<(), RigError> {
        match self.laid.take() {
            Some(laid) => site.fabric.take_up(laid),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_of_two_that_are_apart_hears_the_other() {
        assert_eq!(apart(&[0], &[1, 2]), [(0, 1), (1, 0), (0, 2), (2, 0)]);
    }
}
