# One image for every process of Paid; docker-compose.yml says which command each runs.
FROM python:3.12-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home paid \
    && install -d -o paid -g paid /var/lib/paid /run/paid

WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock

COPY . .
# A key that signs nothing: collecting static files needs none, and the image keeps none.
RUN PAID_PRODUCTION=true SECRET_KEY=only-for-collectstatic python manage.py collectstatic --noinput -v 0

# Agents' sandboxes are made without root.
USER paid
ENV PYTHONUNBUFFERED=1
CMD ["python", "-m", "uvicorn", "paid.asgi:application", "--host", "0.0.0.0", "--port", "8000"]
