import pytest

from job.submit import options


def read(**given: str):
    return options.read({f"SUBMIT_{name}": value for name, value in given.items()})


def test_defaults_and_what_belongs_to_others():
    chosen, problems = options.read({"JOB_RUN__NAME": "x", "SUBMIT_IMAGE": ""})
    assert (chosen.image, chosen.nodes, chosen.gpus, problems) == (None, 1, 1, [])


def test_lists_stand_with_commas():
    chosen, _ = read(MOUNTS="/a:/a, /b:/b:ro", PASS_ENV="AWS_SECRET_ACCESS_KEY")
    assert chosen.mounts == ("/a:/a", "/b:/b:ro")
    assert chosen.pass_env == ("AWS_SECRET_ACCESS_KEY",)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"NODE": "2"}, "SUBMIT_NODE is no option"),
        ({"NODES": "0"}, "SUBMIT_NODES: "),
        ({"NODES": "x77"}, "SUBMIT_NODES: "),
        ({"IMAGE": "a b"}, "SUBMIT_IMAGE: "),
        ({"S3_SECRET": "Upper"}, "SUBMIT_S3_SECRET: "),
        ({"S3_ROLE": "role"}, "SUBMIT_S3_ROLE: "),
        ({"PARTITION": "a;b"}, "SUBMIT_PARTITION: "),
        ({"S3_SECRET": "a", "S3_ROLE": "arn:aws:iam::1:role/a"}, "two ways to the same bucket"),
        ({"VARIANTS_PATH": "v.txt", "NODES": "2"}, "each variant on one node"),
    ],
)
def test_what_is_wrong_is_named_without_its_value(given, said):
    chosen, problems = read(**given)
    assert chosen is None
    assert said in problems[0]
    assert not any(value in problem for problem in problems for value in ("x77", "a b", "Upper", "a;b"))


def test_the_time_limit_says_what_each_scheduler_makes_of_it():
    help_text = options.SubmitOptions.model_fields["time_limit_s"].description
    assert all(word in help_text for word in ("Slurm", "variant of a sweep", "Job or JobSet of Kubernetes fails", "Not for Docker"))


def test_all_at_once():
    _, problems = read(NODES="0", GPUS="-1", TYPO="1")
    assert len(problems) == 3
