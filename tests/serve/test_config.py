"""The configuration file that comes with the endpoint."""

from pathlib import Path

import yaml
from ray.serve.schema import ServeDeploySchema

import serve.app
from serve.args import ServeArgs, Served
from t2ipal.recipe import load_recipe

ROOT = Path(__file__).parents[2]


def test_it_is_one_of_serves_and_names_what_there_is():
    config = ServeDeploySchema.model_validate(yaml.safe_load((ROOT / "serve" / "config.yaml").read_text()))
    (application,) = config.applications
    module, _, name = application.import_path.partition(":")
    assert (module, getattr(serve.app, name)) == ("serve.app", serve.app.build)
    args = ServeArgs.model_validate(application.args)
    (deployment,) = application.deployments
    assert deployment.name in {each.name for each in (serve.app.Replica, serve.app.Frontend)}
    served = Served.model_validate(deployment.user_config)
    offline = load_recipe(ROOT / "jobs" / "recipes" / "offline.yaml")
    assert served.recognizers == {offline.name: f"{offline.run}/bundle"}
    assert args.replicas == offline.serve.replicas
