import pytest

from job.errors import SettingsError
from job.submit import shipped


def test_the_manifests_are_those_at_the_top_of_the_repository():
    assert shipped.folder("k8s") == shipped.HERE.parents[1] / "k8s"


def test_a_copy_without_them_says_so(tmp_path):
    with pytest.raises(SettingsError, match="without the folder k8s/"):
        shipped.folder("k8s", tmp_path)
