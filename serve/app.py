"""The application: frontends before an autoscaling pool of replicas.

    serve run serve/config.yaml

A configuration file names `serve.app:build` as its import path and ServeArgs as its `args`; a job starts it
by `serve.deploy`.
"""

from typing import Any

from ray.serve.config import AutoscalingConfig

from serve.args import ServeArgs
from serve.frontend import Frontend
from serve.replica import Replica

LOOK_BACK_S = 15.0  # over which autoscaling takes means; frontends tell what waits every 10 s
GRACE_S = 10.0  # beyond the deadline: until then a replica that goes away answers what it has taken
# Behind HAProxy a frontend that goes away takes requests for so long, until all have heard that it does.
DRAINING_S = 30.0


def build(args: ServeArgs) -> Any:
    """Return the application (serve.Application)."""
    frontend: Any = Frontend
    # Its own queue is the event loop's; what waits is bounded where it waits for replicas.
    return frontend.options(
        num_replicas=args.num_frontends,
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=100_000,
        graceful_shutdown_timeout_s=DRAINING_S + args.deadline_s + GRACE_S,
    ).bind(args.settings, _replicas(args), *_rates(args))


def _replicas(args: ServeArgs) -> Any:
    replica: Any = Replica
    options: dict[str, Any] = {
        "ray_actor_options": {
            "num_cpus": args.cpus,
            "num_gpus": args.gpus,
            "label_selector": args.labels or None,
        },
        # A replica refuses by itself what it has no place for: what waits in Serve's router for a place waits
        # longer than the place is taken. It waits there while there is no replica.
        "max_ongoing_requests": 2 * args.places,
        "max_queued_requests": args.places * args.replicas.max,
        "health_check_period_s": 2.0,
        "max_constructor_retry_count": 2,  # what fails twice is the bundle's fault
        "graceful_shutdown_timeout_s": args.deadline_s + GRACE_S,
        "user_config": args.serves.model_dump() if args.serves is not None else None,
        "autoscaling_config": AutoscalingConfig(
            min_replicas=args.replicas.min,
            max_replicas=args.replicas.max,
            target_ongoing_requests=args.target_ongoing_requests,
            upscale_delay_s=args.replicas.up_after_s,
            downscale_delay_s=args.replicas.down_after_s,
            look_back_period_s=LOOK_BACK_S,
        ),
    }
    return replica.options(**options).bind(args.settings)


def _rates(args: ServeArgs) -> list[Any]:
    if args.keys is None or args.keys.per_minute is None:
        return []
    from serve.rates import Rates

    rates: Any = Rates
    return [rates.bind(args.keys.per_minute)]
