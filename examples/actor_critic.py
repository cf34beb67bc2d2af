"""Balance a pole on a cart with an actor-critic: one network gives the policy and the value of a state.

    python examples/actor_critic.py
    python examples/actor_critic.py --seed 1 --episodes 500

The cart-pole is simulated in this file (Barto, Sutton and Anderson 1983). An episode ends when the pole falls, the cart
leaves the track, or after 500 steps; the reward is the number of steps. The task is solved at 475 on average.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
from tqdm import trange

import chainrule as torch
import chainrule.nn as nn
import chainrule.nn.functional as F
from chainrule import optim
from chainrule.distributions import Categorical


class CartPole:
    """A pole of half-length 0.5 m and 0.1 kg on a cart of 1 kg that is pushed left (0) or right (1) with 10 N."""

    gravity, cart, pole, half_length, force, seconds = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02

    def __init__(self, rng: np.random.Generator, limit: int = 500) -> None:
        self.rng, self.limit = rng, limit

    def reset(self) -> np.ndarray:
        """Start an episode; gives position, velocity, angle and angular velocity."""
        self.steps = 0
        self.state = self.rng.uniform(-0.05, 0.05, 4)
        return self.state

    def step(self, action: int) -> tuple[np.ndarray, float, bool]:
        """Push the cart; gives the state after 20 ms, the reward, and whether the episode is over."""
        _, velocity, angle, spin = self.state
        push = self.force if action == 1 else -self.force
        sine, cosine, mass = math.sin(angle), math.cos(angle), self.cart + self.pole
        moment = self.pole * self.half_length
        pull = (push + moment * spin**2 * sine) / mass
        angular = (self.gravity * sine - cosine * pull) / (self.half_length * (4 / 3 - self.pole * cosine**2 / mass))
        linear = pull - moment * angular * cosine / mass
        change = np.array([velocity, linear, spin, angular])
        self.state = self.state + self.seconds * change
        self.steps += 1
        fell = abs(self.state[0]) > 2.4 or abs(self.state[2]) > math.radians(12)
        return self.state, 1.0, bool(fell or self.steps >= self.limit)


class Policy(nn.Module):
    """States (4) to the probabilities of the actions (2) and the value of the state (1)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.affine1 = nn.Linear(4, hidden)
        self.action_head = nn.Linear(hidden, 2)
        self.value_head = nn.Linear(hidden, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = F.relu(self.affine1(x))
        return F.softmax(self.action_head(x), dim=-1), self.value_head(x)


def episode_loss(log_probs: list, values: list, rewards: list[float], gamma: float) -> torch.Tensor:
    """The actor's loss (advantage times -log p) and the critic's (Huber, towards the discounted return)."""
    returns, total = [], 0.0
    for reward in reversed(rewards):
        total = reward + gamma * total
        returns.insert(0, total)
    values = torch.cat(values)
    returns = torch.tensor(returns, device=values.device)
    returns = (returns - returns.mean()) / (returns.std() + 1e-6)
    advantage = returns - values.detach()
    policy_losses = -torch.stack(log_probs) * advantage
    return policy_losses.sum() + F.smooth_l1_loss(values, returns, reduction="sum")


def fill(model: nn.Module, rng: np.random.Generator) -> None:
    """Draw the parameters from NumPy, so that every library starts from the same ones."""
    with torch.no_grad():
        for p in model.parameters():
            mean, scale = (0.0, p[0].numel() ** -0.5) if p.dim() > 1 else (0.0, 0.1)
            p.copy_(torch.from_numpy(rng.normal(mean, scale, tuple(p.shape))))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    p.add_argument("--episodes", "--epochs", type=int, default=1000, help="at most this many (default: %(default)s)")
    p.add_argument("--hidden", type=int, default=128, help="hidden units (default: %(default)s)")
    p.add_argument("--gamma", type=float, default=0.99, help="discount factor (default: %(default)s)")
    p.add_argument("--lr", type=float, default=5e-3, help="Adam's learning rate (default: %(default)s)")
    p.add_argument("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    p.add_argument("--save", metavar="FILE", help="write the trained parameters to this file")
    p.add_argument("--tiny", action="store_true", help="a few short episodes with a tiny network")
    p.add_argument("--init-seed", type=int, help="weights and actions from NumPy: to compare libraries")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the loss of each episode to this file")
    args = p.parse_args()

    torch.manual_seed(args.seed)
    compare = args.init_seed is not None
    rng = np.random.default_rng(args.init_seed)
    if args.tiny:
        args.episodes, args.hidden = 8, 8
    model = Policy(args.hidden)
    if compare:
        fill(model, rng)
    model = model.to(args.device)
    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    cart_pole = CartPole(np.random.default_rng(args.seed), limit=20 if args.tiny else 500)

    def choose(policy: Categorical) -> torch.Tensor:
        if compare:  # the same action in every library: the inverse of the distribution function at NumPy's uniform
            return torch.tensor(int(rng.random() > policy.probs[0].item()), device=args.device)
        return policy.sample()

    losses, running, solved = [], 10.0, False
    with trange(1, args.episodes + 1, desc="episodes", leave=False, disable=None) as bar:
        for episode in bar:
            log_probs, values, rewards = [], [], []
            state, over = cart_pole.reset(), False
            while not over:
                probabilities, value = model(torch.from_numpy(state).float().to(args.device))
                policy = Categorical(probabilities)
                action = choose(policy)
                log_probs.append(policy.log_prob(action))
                values.append(value)
                state, reward, over = cart_pole.step(action.item())
                rewards.append(reward)

            optimizer.zero_grad()
            loss = episode_loss(log_probs, values, rewards, args.gamma)
            loss.backward()
            optimizer.step()

            losses.append(loss.item())
            running = 0.95 * running + 0.05 * sum(rewards)
            bar.set_postfix(reward=f"{running:.1f}", refresh=False)
            solved = running > 475
            if episode % 20 == 0 or solved:
                print(f"episode {episode}: {sum(rewards):.0f} steps, {running:.1f} on average", flush=True)
            if solved:
                break
    print("solved" if solved else f"not solved in {args.episodes} episodes")

    if args.save:
        torch.save(model.state_dict(), args.save)
    if args.json:
        args.json.write_text(json.dumps({"losses": losses, "final": running}))


if __name__ == "__main__":
    main()
