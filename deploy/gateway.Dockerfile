# The gateway: no model, no faster-whisper.
FROM python:3.11-slim

RUN useradd --create-home --uid 10001 fleet
WORKDIR /app
COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY shared shared
COPY gateway gateway
COPY worker/__init__.py worker/__init__.py
COPY client/__init__.py client/__init__.py
RUN pip install --no-cache-dir --no-compile -c requirements.lock ".[gateway]"
USER fleet
ENV API_HOST=0.0.0.0 API_PORT=8000 PYTHONUNBUFFERED=1
EXPOSE 8000
CMD ["python", "-m", "gateway"]
