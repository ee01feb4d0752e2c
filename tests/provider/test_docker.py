from tests.provider.asking import read


def test_a_service_whose_engine_does_not_answer_is_measured_as_unhealthy(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    inputs = {
        "serviceName": "web",
        "owner": "o",
        "stateDirectory": str(tmp_path),
        "network": "n",
        "resources": {},
        "limits": {},
        "rollout": {"drainSeconds": 5},
        "image": f"sha256:{'c' * 64}",
        "bundles": [],
    }
    measured = read("DockerService", inputs, {"state": "Healthy", "problems": []})
    assert measured["state"] == "Unhealthy"
    assert measured["problems"][0].startswith("no Docker engine answers")
