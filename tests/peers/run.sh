# Sourced by ./test --peers: makes build/peers, a virtual environment with the pinned peers, and runs each comparison as
# one step. A peer that cannot be installed makes its steps skip, and says so.

peers_python="$PWD/build/peers/bin/python"
peers_stamp="build/peers/requirements.txt"
if ! cmp -s tests/peers/requirements.txt "$peers_stamp"; then
  say "Installing the peers into build/peers"
  rm -rf build/peers
  python3 -m venv build/peers
  if "$peers_python" -m pip install --quiet --disable-pip-version-check -r tests/peers/requirements.txt \
    >build/peers.log 2>&1; then
    cp tests/peers/requirements.txt "$peers_stamp"
  else
    tail -n 5 build/peers.log
    echo "not all peers could be installed; what is missing is skipped"
  fi
fi

export GARAM_COMMAND="$PWD/build/dev/garam"
peer() { # name, script, the packages it needs, arguments
  local name="$1" script="$2" needs="$3" module
  shift 3
  for module in $needs; do
    if ! "$peers_python" -c "import $module" 2>/dev/null; then
      skipped=$((skipped + 1))
      printf '%-44s Skipped: %s is not installed\n' "$name" "$module"
      return 0
    fi
  done
  step "$name" "$peers_python" "tests/peers/$script" "$@"
}

peer "safetensors: opens our packages" package_test.py "safetensors numpy"
peer "scikit-learn: metrics" metrics_test.py "sklearn numpy"
peer "scikit-learn: Platt and isotonic calibration" calibration_test.py "sklearn numpy"
peer "DESlib's protocol: dynamic selection" selection_test.py "sklearn numpy"
peer "scikit-learn: logistic regression and ridge" linear_test.py "sklearn numpy"
peer "scikit-learn: AdaBoost, stacking, bagging, boosting" ensembles_test.py "sklearn numpy safetensors"
peer "scikit-learn: forests" forest_test.py "sklearn numpy"
peer "LightGBM, XGBoost: boosting" gbdt_test.py "lightgbm xgboost sklearn numpy"
peer "TensorBoard: reads our event files" events_test.py "tensorboard"
peer "PyTorch: logits, gradients, ten AdamW steps" transformer_test.py "torch safetensors"
peer "tritonclient: Open Inference Protocol" serve_test.py "tritonclient.http numpy"
peer "XGBoost, LightGBM, onnxruntime: trees there and back" trees_test.py "xgboost lightgbm onnxruntime numpy"
export GARAM_ENV_PROBE="$PWD/build/dev/tests/env_probe"
peer "gymnasium: classic control, step by step" env_test.py "gymnasium numpy" gymnasium
peer "mpe2: particle worlds, step by step" env_test.py "gymnasium mpe2 numpy" mpe2
peer "onnxruntime: exported policies" policy_test.py "onnxruntime numpy"
peer "scipy: statistics of reinforcement learning" rl_statistics_test.py "scipy numpy"
