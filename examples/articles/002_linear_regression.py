import fastnn as tf
import numpy as np
import matplotlib.pyplot as plt

# 设置随机种子，保证实验结果可复现
tf.random.set_seed(42)

# 准备数据
x_train = np.random.rand(100).astype(np.float32)
y_train = 2 * x_train + 1 + np.random.randn(100) * 0.05

# 构建模型
model = tf.keras.Sequential([
    tf.keras.layers.Dense(units=1, input_shape=[1], activation='linear')
])

# 编译模型
model.compile(optimizer=tf.keras.optimizers.Adam(0.1), loss='mean_squared_error')

# 训练模型
model.fit(x_train, y_train, epochs=100)

# 评估模型
loss = model.evaluate(x_train, y_train)
print(f"Loss: {loss}")

# 预测
predictions = model.predict(x_train)
plt.scatter(x_train, y_train, color='blue')
plt.plot(x_train, predictions, color='red')
plt.show()
