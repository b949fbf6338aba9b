#!/usr/bin/env bash
# The main job on real data: Amazon Musical Instruments 5-core (McAuley Lab, 2014).
#
#   benchmarks/musical_instruments.sh FOLDER      with reviews.jsonl.gz and meta.jsonl.gz in Amazon's format
#
# Each user's last review, the greatest by (unixReviewTime, asin), is held out. The model is trained twice, without
# and with Amazon's `related` edges (also bought, bought together, viewed); these were counted from all purchases and
# may show what was held out, so the figure without them is the honest one. Prints both as one table.
# KG_HOME is where it works: .kg/musical_instruments unless set.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:?usage: benchmarks/musical_instruments.sh FOLDER}
export KG_HOME=${KG_HOME:-.kg/musical_instruments}
kg=.venv/bin/kg
mkdir -p "$KG_HOME"
started=$SECONDS

$kg holdout "$data/reviews.jsonl.gz" --format amazon --remaining "$KG_HOME/train.jsonl" --pairs "$KG_HOME/holdout.jsonl"
$kg ingest products "$data/meta.jsonl.gz" --format amazon --no-related
$kg ingest reviews "$KG_HOME/train.jsonl" --format amazon
$kg extract
$kg train
$kg promote
$kg evaluate recommend --holdout "$KG_HOME/holdout.jsonl" --k 10,20 > "$KG_HOME/without_related.json"

$kg ingest products "$data/meta.jsonl.gz" --format amazon
$kg train
$kg promote
$kg evaluate recommend --holdout "$KG_HOME/holdout.jsonl" --k 10,20 > "$KG_HOME/with_related.json"

.venv/bin/python - "$KG_HOME/without_related.json" "$KG_HOME/with_related.json" <<'PYTHON'
import json
import sys

without, with_related = (json.load(open(path)) for path in sys.argv[1:])
print(f"\n{without['users']} users, {without['products']} products")
print(f"{'':32} {'without related':^23} {'with related':^23}")
print(f"{'':32} {'HR@10':>11} {'NDCG@10':>11} {'HR@10':>11} {'NDCG@10':>11}")
rows = [("through Cypher", "cypher"), ("the same score outside Neo4j", "exact")]
rows += [(name.replace("_", "-"), ("baselines", name)) for name in without["baselines"]]
for name, where in rows:
    pair = [r[where] if isinstance(where, str) else r[where[0]][where[1]] for r in (without, with_related)]
    print(f"{name:32}", *(f"{r['hr@10']:11.4f} {r['ndcg@10']:11.4f}" for r in pair))
PYTHON
echo "$((SECONDS - started)) s in all"
