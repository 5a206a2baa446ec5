//! RabbitMQ. Ways up: <https://www.rabbitmq.com/docs/upgrade>.
