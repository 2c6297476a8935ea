"""Tables, figures and the page.

python -m stages.report --cells reports/cells --shards data/shards --raw data/raw --compressed data/compressed
  --out reports
"""

import argparse
from pathlib import Path

from pipeline.params import schema as params
from pipeline.reporting.build import build
from stages import _cli


def work(args: argparse.Namespace) -> str:
    return build(args.cells, args.shards, args.raw, args.compressed, args.out, params.load(), args.gallery)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=Path, required=True, help="folder with the cells that evaluate left")
    parser.add_argument("--shards", type=Path, required=True, help="folder with one folder of shards a set")
    parser.add_argument("--raw", type=Path, required=True, help="folder with one folder of raw videos a set")
    parser.add_argument("--compressed", type=Path, required=True, help="likewise, with a folder a quality in each")
    parser.add_argument("--gallery", type=Path, help="folder with the maps of the explain stage; none without it")
    parser.add_argument("--out", type=Path, required=True, help="folder for the report")
    _cli.run(parser, work)
