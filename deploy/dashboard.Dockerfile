# rq-dashboard, the operators' window. Its 0.9 release forgets to declare six.
FROM python:3.11-slim

RUN useradd --create-home --uid 10001 fleet
WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --no-compile -c requirements.lock rq-dashboard six
USER fleet
EXPOSE 9181
CMD ["sh", "-c", "exec rq-dashboard --json --bind 0.0.0.0 --port 9181 --redis-url \"$REDIS_URL\""]
