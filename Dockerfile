# docker build -t fullcount . && docker run -p 8000:8000 -v fullcount:/data fullcount
FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/fullcount
ENV PATH="/opt/fullcount/bin:$PATH"
COPY requirements/build.txt requirements/base.txt requirements/
RUN python -m pip install --require-hashes -r requirements/build.txt \
    && python -m pip install --require-hashes --no-build-isolation -r requirements/base.txt
COPY pyproject.toml README.md ./
COPY app app
COPY alembic alembic
RUN python -m pip install --no-build-isolation --no-deps .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --user-group --no-create-home fullcount \
    && install --directory --owner fullcount --group fullcount /data
COPY --from=build /opt/fullcount /opt/fullcount
ENV PATH="/opt/fullcount/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    FULLCOUNT_DATABASE_URL="sqlite:////data/fullcount.db"
USER fullcount
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
CMD ["fullcount", "serve", "--host", "0.0.0.0"]
