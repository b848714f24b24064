"""What runs limoflow: images, Kubernetes, Kafka, Grafana, Prometheus."""
