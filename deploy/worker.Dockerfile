# The worker, on CPU. Downloaded models go to /models, a volume, so that a new container need not fetch them again.
FROM python:3.11-slim

RUN useradd --create-home --uid 10001 fleet && mkdir /models && chown fleet /models
WORKDIR /app
COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY shared shared
COPY worker worker
COPY gateway/__init__.py gateway/__init__.py
COPY client/__init__.py client/__init__.py
RUN pip install --no-cache-dir --no-compile -c requirements.lock ".[worker]"
COPY models/demo models/demo
USER fleet
ENV HF_HOME=/models PYTHONUNBUFFERED=1
STOPSIGNAL SIGTERM
CMD ["python", "-m", "worker"]
