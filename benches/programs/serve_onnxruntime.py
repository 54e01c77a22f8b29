"""A FastAPI app around ONNX Runtime, as lean as one writes it by hand: no checks, no limits."""

import json
import pathlib
import sys

import fastapi
import numpy as np
import onnxruntime
import uvicorn

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from rivals.callers import end_with_parent

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
app = fastapi.FastAPI()


@app.post("/predict")
async def predict(request: fastapi.Request) -> fastapi.Response:
    rows = np.asarray(json.loads(await request.body())["inputs"], np.float32)
    found = session.run(None, {"x": rows})[0]
    body = json.dumps({"outputs": found.tolist()})
    return fastapi.Response(body, media_type="application/json")


end_with_parent()
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
