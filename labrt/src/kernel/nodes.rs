//! Nodes: what a task lives on, and what is killed, paused, and has a clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::clock::Rate;
use super::tasks::State;
use super::{Kernel, Runnable};
use crate::rand::{Rng, node_stream};

/// One incarnation of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(pub(super) usize);

impl NodeId {
    pub(crate) fn from_index(index: usize) -> Self {
        NodeId(index)
    }

    /// Nodes are numbered in the order of their making.
    pub(crate) fn index(self) -> usize {
        self.0
    }
}

/// The node of the test's own task.
pub(crate) const MAIN_NODE: NodeId = NodeId(0);

pub(crate) struct NodeState {
    pub(super) name: Arc<str>,
    pub(super) incarnation: u32,
    pub(super) rng: Rng,
    pub(super) rate: Rate,
    alive: bool,
    paused: bool,
    /// Tasks that could run if the node were not paused.
    stalled: Vec<u32>,
}

impl NodeState {
    pub(super) fn new(seed: u64, name: Arc<str>, incarnation: u32) -> Self {
        NodeState {
            rng: node_stream(seed, &name, incarnation),
            name,
            incarnation,
            rate: Rate::TRUE,
            alive: true,
            paused: false,
            stalled: Vec::new(),
        }
    }
}

impl Kernel {
    /// A new incarnation of the node called `name`.
    pub(crate) fn add_node(&mut self, name: &str) -> NodeId {
        let earlier = self.nodes.iter().rev().find(|node| *node.name == *name);
        let (name, incarnation) = earlier
            .map_or_else(|| (Arc::from(name), 0), |node| (node.name.clone(), node.incarnation + 1));
        self.nodes.push(NodeState::new(self.config.seed, name, incarnation));
        NodeId(self.nodes.len() - 1)
    }

    /// The node for which the running task works; the test's own outside any task.
    pub(crate) fn current_node(&self) -> NodeId {
        self.current.map_or(MAIN_NODE, |slot| self.tasks[slot as usize].node())
    }

    pub(crate) fn node_name(&self, node: NodeId) -> (Arc<str>, u32) {
        let node = &self.nodes[node.0];
        (node.name.clone(), node.incarnation)
    }

    pub(crate) fn node_rng(&mut self) -> &mut Rng {
        let node = self.current_node();
        &mut self.nodes[node.0].rng
    }

    pub(crate) fn is_alive(&self, node: NodeId) -> bool {
        self.nodes[node.0].alive
    }

    /// No task starts on the node any more.
    pub(crate) fn mark_dead(&mut self, node: NodeId) {
        self.nodes[node.0].alive = false;
        self.resume_node(node); // so that its tasks can unwind
    }

    /// No task starts anywhere any more.
    pub(crate) fn mark_all_dead(&mut self) {
        for node in 0..self.nodes.len() {
            self.mark_dead(NodeId(node));
        }
    }

    pub(crate) fn pause_node(&mut self, node: NodeId) {
        self.nodes[node.0].paused = self.nodes[node.0].alive;
    }

    pub(crate) fn resume_node(&mut self, node: NodeId) {
        self.nodes[node.0].paused = false;
        let stalled = std::mem::take(&mut self.nodes[node.0].stalled);
        self.queue.extend(stalled.into_iter().map(Runnable::Task));
    }

    /// Puts a task aside if the node it works for is paused.
    pub(super) fn stall_if_paused(&mut self, slot: u32) -> bool {
        let node = self.tasks[slot as usize].node();
        let node = &mut self.nodes[node.0];
        if node.paused {
            node.stalled.push(slot);
        }
        node.paused
    }

    /// Is the node the running task works for paused?
    pub(crate) fn is_paused(&self, node: NodeId) -> bool {
        self.nodes[node.0].paused
    }

    /// Tells every task that works for `node` to unwind: those that live there to the end, those
    /// that visit it to where they came in. By serial number and slot, oldest first.
    pub(crate) fn condemn(&mut self, node: NodeId) -> Vec<(u64, u32)> {
        let condemned: BTreeMap<u64, u32> = (0..)
            .zip(&mut self.tasks)
            .filter(|(_, task)| task.state != State::Free)
            .filter_map(|(slot, task)| {
                let place = task.nodes.iter().position(|&visited| visited == node)?;
                task.unwind_to = Some(task.unwind_to.map_or(place, |other| other.min(place)));
                Some((task.serial, slot))
            })
            .collect();
        condemned.into_iter().collect()
    }

    /// Takes a task out of whatever it waits in, so that it can be made to unwind. What it was notified
    /// of and has not seen yet, another task is notified of.
    pub(crate) fn pull_out(&mut self, slot: u32) {
        match self.tasks[slot as usize].state {
            State::Ready => {
                self.queue.retain(|next| !matches!(next, Runnable::Task(other) if *other == slot));
                for node in &mut self.nodes {
                    node.stalled.retain(|&other| other != slot);
                }
                if std::mem::take(&mut self.tasks[slot as usize].notified) {
                    self.pass_on(slot);
                }
            }
            State::Parked => self.unlink(slot, false),
            State::Free | State::Running | State::StuckUnwinding => {}
        }
    }
}
