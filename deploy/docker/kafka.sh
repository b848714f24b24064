#!/bin/sh
# One Kafka node on the data folder KAFKA_DATA, known to its clients as KAFKA_ADVERTISED (host:port).
set -eu
data="${KAFKA_DATA:-/var/lib/kafka}/data"
sed -e "s#127.0.0.1:\${port},#0.0.0.0:9092,#" -e "s#127.0.0.1:\${port}#${KAFKA_ADVERTISED:?}#" \
    -e "s#\${controller_port}#9093#" -e "s#\${data_folder}#$data#" \
    -e "s#\${session_timeout_ms}#3000#" -e "s#\${heartbeat_interval_ms}#500#" \
    /opt/kafka/server.properties.template >/tmp/server.properties
kafka() {
    class="$1"
    shift
    exec java -Xms128m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.awt.headless=true \
        -Dlog4j2.configurationFile=/opt/kafka/log4j2.yaml -cp '/opt/kafka/libs/*' "$class" "$@"
}
if [ ! -e "$data/meta.properties" ]; then
    cluster=$(head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | tr -d '=\n')
    (kafka kafka.tools.StorageTool format --ignore-formatted -t "$cluster" -c /tmp/server.properties)
fi
kafka kafka.Kafka /tmp/server.properties
