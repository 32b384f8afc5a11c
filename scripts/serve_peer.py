"""The measure that `truepair serve` is held against: exact search behind FastAPI and PyTorch.

    python serve_peer.py VECTORS.npy [PORT]     (NumPy, PyTorch, FastAPI, uvicorn)

Answers `POST /v1/search` with {"text": ..., "top": ...} as the server of the project does. A text costs it nothing: its
vector is a row of the matrix, chosen by a hash. Scores are one product of the query with all rows, and `topk`.
"""
import sys
import zlib

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

VECTORS = torch.from_numpy(np.load(sys.argv[1]).astype(np.float32))
VECTORS /= VECTORS.norm(dim=1, keepdim=True)
APP = FastAPI()


class Question(BaseModel):
    text: str
    top: int = 20


@APP.post("/v1/search")
def search(question: Question):
    query = VECTORS[zlib.crc32(question.text.encode()) % len(VECTORS)]
    with torch.inference_mode():
        scores, rows = torch.topk(VECTORS @ query, question.top)
    hits = zip(rows.tolist(), scores.tolist())
    return {"hits": [{"rank": n + 1, "id": str(row), "score": score} for n, (row, score) in enumerate(hits)]}


if __name__ == "__main__":
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 8001
    uvicorn.run(APP, host="127.0.0.1", port=port, log_level="error")
